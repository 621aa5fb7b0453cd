"""The Linux kernel's own NFS server as a destination, by each version: trees from nfs-ganesha and from a
bucket, hard links and devices."""

import os
import shlex
from typing import NamedTuple

import pytest
from world import copied, kernel, tree
from world.control import Control
from world.site import Site, shown

MIB = 1024 * 1024
VERSIONS = ["NFS3", "NFS4_0", "NFS4_1", "NFS4_2"]
EXPORTS = {"/exports": "rw,no_root_squash,insecure,no_subtree_check"}
PREFIX = "below/"


class Linked(NamedTuple):
    """A tree with hard links and devices: here, and in the guest."""

    here: bytes
    there: str


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    made = Site(directory, module_logs, nfs, store, [Control(directory, module_logs)])
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def linked(site):
    source = site.source("linked")
    tree.linked(source)
    tree.devices(source)
    tree.set_times(source)
    return Linked(source, "/exports/linked")


@pytest.fixture(scope="module")
def server(tmp_path_factory, module_logs, linked):
    kernel.skip_if_missing()
    directory = tmp_path_factory.mktemp("kernel")
    archive = directory / "linked.tar"
    kernel.pack(linked.here, archive)
    prepare = kernel.unpack(archive, linked.there)
    made = kernel.Kernel(directory, module_logs, EXPORTS, prepare)
    try:
        yield made.start()
    finally:
        made.remove()


@pytest.fixture(scope="module")
def whole(site):
    """A tree of this machine, which nfs-ganesha serves."""
    source = site.source("whole")
    tree.a_bit_of_everything(source, 20 * MIB)
    return source


@pytest.fixture(scope="module")
def bucket(site, whole):
    """The same in a bucket. Below a prefix the root is an object too."""
    made = site.bucket("whole")
    site.run(site.task(whole, made, PREFIX))
    return made


def to_kernel(site, server, source, path, version, options=None):
    """A task to a new directory of the guest, AVAILABLE."""
    server.run(f"mkdir {shlex.quote(path)}")
    destination = site.nfs_location(path, host=server.host, version=version)
    # DataSync offers version 4.2 in ENHANCED mode alone.
    mode = {"TaskMode": "ENHANCED"} if version == "NFS4_2" else {}
    arn = site.create_task(source, destination, options, **mode)
    site.wait_task(arn, "AVAILABLE")
    return arn


def assert_arrives(site, server, task, path, wanted):
    site.run(task, 240)
    again = site.run(task, 240)
    assert (again["FilesTransferred"], again["BytesTransferred"]) == (0, 0), shown(again)
    copied.assert_exactly(wanted, server.tree(path))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tree_arrives_from_another_server(site, server, whole, version):
    path = f"/exports/from-nfs-{version}"
    task = to_kernel(site, server, site.nfs_location(whole, version="NFS3"), path, version)
    assert_arrives(site, server, task, path, copied.exactly(whole))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tree_arrives_from_a_bucket(site, server, whole, bucket, version):
    path = f"/exports/from-s3-{version}"
    task = to_kernel(site, server, site.store_location(bucket, PREFIX), path, version)
    assert_arrives(site, server, task, path, copied.exactly(whole))


@pytest.mark.parametrize("version", ["NFS3", "NFS4_2"])
@pytest.mark.parametrize("origin", ["from nfs-ganesha", "within the kernel's"])
def test_hard_links_and_devices_stay_what_they_are(site, server, linked, origin, version):
    if origin == "from nfs-ganesha":
        source = site.nfs_location(linked.here, version="NFS3")
        wanted = copied.exactly(linked.here)
    else:
        source = site.nfs_location(linked.there, host=server.host, version=version)
        wanted = server.tree(linked.there)
    path = f"/exports/linked-{origin.split()[0]}-{version}"
    task = to_kernel(site, server, source, path, version, {"PreserveDevices": "PRESERVE"})
    assert_arrives(site, server, task, path, wanted)
