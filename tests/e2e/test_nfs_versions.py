"""NFS version 4 as a source: every minor version, what AUTOMATIC takes, a server that restarts."""

import time

import pytest
from world import tree
from world.expected import Snapshot, open_uploads
from world.nfs4 import Nfs4
from world.process import wait_until
from world.site import shown

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def nfs4(directory, module_logs, nfs):
    server = Nfs4(directory / "nfs4", module_logs, nfs).start()
    yield server
    server.stop()


def versions_said(site):
    """The minor versions by which directories were found so far."""
    lines = site.agent.server.output().splitlines()
    found = [line for line in lines if "found a directory by NFS version 4" in line]
    return [line.split("minor=")[1].split()[0] for line in found]


@pytest.mark.parametrize("version,minor", [
    ("NFS4_0", "0"), ("NFS4_1", "1"), ("AUTOMATIC", "1"),
])
def test_a_tree_arrives_by_each_version(site, nfs4, version, minor):
    since_ns = time.time_ns()
    source = site.source("versions")
    tree.odd_names(source)
    tree.neighbours(source)
    bucket = site.bucket("versions")
    nas = site.nfs_location(source, host=nfs4.host, version=version)
    task = site.create_task(nas, site.store_location(bucket))
    site.wait_task(task, "AVAILABLE")
    before = len(versions_said(site))
    site.run(task)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    assert set(versions_said(site)[before:]) == {minor}
    # Nothing has changed: not a byte is read.
    again = site.run(task)
    assert again["BytesTransferred"] == 0, shown(again)


def test_a_server_that_restarts_holds_a_transfer_up_and_loses_nothing(site, nfs4):
    since_ns = time.time_ns()
    source = site.source("restart")
    tree.big(source + b"/big", 200 * MIB)
    for number in range(200):
        tree.write(source + b"/%03d" % number, tree.noise(number, 64 * 1024))
    bucket = site.bucket("restart")
    nas = site.nfs_location(source, host=nfs4.host, version="NFS4_1")
    task = site.create_task(nas, site.store_location(bucket), {"BytesPerSecond": 40 * MIB})
    site.wait_task(task, "AVAILABLE")
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 20 * MIB)
    nfs4.stop()
    time.sleep(2)
    nfs4.start()
    ended = site.wait_execution(execution, 240)
    assert ended["Status"] == "SUCCESS", shown(ended)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    assert open_uploads(site.store.client, bucket) == []


def test_sessions_are_given_back(site, nfs4):
    source = site.source("sessions")
    tree.write(source + b"/one", b"one")
    nas = site.nfs_location(source, host=nfs4.host, version="NFS4_1")
    task = site.create_task(nas, site.store_location(site.bucket("sessions")))
    site.wait_task(task, "AVAILABLE")
    site.run(task)
    wait_until("no connection stays", lambda: nfs4.connections() == 0, 60)


def test_a_path_that_version_four_does_not_have_is_named(site, nfs4):
    nas = site.nfs_location("/no/such/export", host=nfs4.host, version="NFS4_0")
    task = site.create_task(nas, site.store_location(site.bucket("missing")))
    described = site.wait_task(task, "UNAVAILABLE")
    assert described["ErrorCode"] == "SourcePathNotFound", shown(described)
    assert '"no"' in described["ErrorDetail"], shown(described)
