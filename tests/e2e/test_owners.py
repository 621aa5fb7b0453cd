"""Owners that NFS version 4 tells by name: numbers by configuration, read again at SIGHUP."""

import os
import signal

import pytest
from world import tree
from world.nfs4 import NAMES, Nfs4
from world.site import Site, shown

# An account of every Debian.
DAEMON = 1
USER, GROUP = 4242, 4343


@pytest.fixture(scope="module")
def nfs4(directory, module_logs, nfs):
    server = Nfs4(directory / "nfs4", module_logs, nfs, owners=NAMES).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    made = Site(directory, module_logs, nfs, store, **{"nfs.groups": f"daemon={GROUP}"})
    try:
        made.start()
        yield made
    finally:
        made.stop()


def reload(site, **settings):
    site.agent.settings |= settings
    site.agent.write()
    site.agent.server.signal(signal.SIGHUP)


def test_a_name_without_a_number_fails_its_file_until_it_has_one(site, nfs4):
    source = site.source("owners")
    tree.write(source + b"/of-root", b"root")
    tree.write(source + b"/of-daemon", b"daemon")
    os.chown(source + b"/of-daemon", DAEMON, DAEMON)
    bucket = site.bucket("owners")
    location = site.nfs_location(source, host=nfs4.host, version="NFS4_1")
    task = site.create_task(location, site.store_location(bucket))
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task, status="ERROR")
    detail = ended["Result"]["ErrorDetail"]
    for words in ("1 of 2 items", "/of-daemon", 'the owner "daemon@example.com"', "nfs.users"):
        assert words in detail, (words, shown(ended))
    client = site.store.client
    kept = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert "of-root" in kept and "of-daemon" not in kept, kept
    reload(site, **{"nfs.users": f"daemon@example.com={USER}"})
    site.agent.server.wait_for_line(r"nfs\.owners_changed", 10)
    site.run(task)
    head = client.head_object(Bucket=bucket, Key="of-daemon")
    owner = (head["Metadata"]["file-owner"], head["Metadata"]["file-group"])
    assert owner == (str(USER), str(GROUP)), head["Metadata"]


def test_settings_that_cannot_be_used_change_nothing(site):
    reload(site, **{"nfs.users": "daemon=-1"})
    site.agent.server.wait_for_line(r"log\.level_kept", 10)
    assert site.agent.server.alive()
    reload(site, **{"nfs.users": f"daemon@example.com={USER}"})
