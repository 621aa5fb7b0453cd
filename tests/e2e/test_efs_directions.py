"""EFS and everything else, in every direction: from a bucket, to NFS, to another file system of EFS; and
what stands for EFS killed in the middle."""

import os
import time

import pytest
from test_efs import location
from world import tree
from world.copied import assert_same
from world.efs import Certificate, Front, dns_name
from world.nfs4 import PORT, Nfs4
from world.site import Site, shown

MIB = 1024 * 1024
ONE, OTHER = "fs-00000000000000011", "fs-00000000000000012"
FRONTS = {ONE: 4061, OTHER: 4062}
PREFIX = "below/"


@pytest.fixture(scope="module")
def nfs4(directory, module_logs, nfs):
    server = Nfs4(directory / "nfs4", module_logs, nfs, minor_versions="1").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def certificate(directory):
    return Certificate(directory, "trusted", *(dns_name(name) for name in FRONTS))


@pytest.fixture(scope="module")
def fronts(nfs4, certificate):
    made = {name: Front(port, PORT, certificate) for name, port in FRONTS.items()}
    for front in made.values():
        front.start()
    yield made
    for front in made.values():
        front.stop()


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, fronts, certificate):
    addresses = ",".join(f"{name}={front.host}" for name, front in fronts.items())
    settings = {"ca_bundle": certificate.pem, "efs.addresses": addresses}
    made = Site(directory, module_logs, nfs, store, **settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def efs(site, file_system, path):
    return location(site, file_system, path, InTransitEncryption="TLS1_2")


def task(site, source, destination, options=None):
    made = site.create_task(source, destination, options)
    site.wait_task(made, "AVAILABLE")
    return made


@pytest.fixture(scope="module")
def whole(site):
    source = site.source("whole")
    tree.a_bit_of_everything(source, 20 * MIB)
    return source


@pytest.fixture(scope="module")
def bucket(site, whole):
    """The same in a bucket. Below a prefix the root is an object too."""
    made = site.bucket("whole")
    site.run(site.task(whole, made, PREFIX))
    return made


def assert_arrives(site, made, source, destination):
    site.run(made)
    assert_same(source, destination)
    again = site.run(made)
    assert (again["FilesTransferred"], again["BytesTransferred"]) == (0, 0), shown(again)
    assert_same(source, destination)


def test_a_bucket_arrives_at_efs(site, whole, bucket):
    destination = site.source("from-s3")
    made = task(site, site.store_location(bucket, PREFIX), efs(site, ONE, destination))
    assert_arrives(site, made, whole, destination)


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_a_tree_of_efs_arrives_at_an_nfs_server(site, nfs4, whole, version):
    destination = site.source("to-nfs")
    host = None if version == "NFS3" else nfs4.host
    nas = site.nfs_location(destination, host=host, version=version)
    made = task(site, efs(site, ONE, whole), nas)
    assert_arrives(site, made, whole, destination)


def test_a_tree_goes_from_one_file_system_to_another(site, fronts, whole):
    destination = site.source("to-efs")
    made = task(site, efs(site, ONE, whole), efs(site, OTHER, destination))
    before = {name: len(front.connections) for name, front in fronts.items()}
    assert_arrives(site, made, whole, destination)
    for name, front in fronts.items():
        assert len(front.connections) > before[name], name


def slow_tree(root):
    tree.big(root + b"/big", 60 * MIB)
    for number in range(200):
        tree.write(root + b"/%03d" % number, tree.noise(number, 64 * 1024))
    tree.set_times(root)


@pytest.mark.parametrize("origin", ["NFS", "S3"])
def test_a_file_system_that_goes_away_holds_a_transfer_up_and_loses_nothing(site, nfs4, origin):
    source, destination = site.source("slow"), site.source("slow-to")
    slow_tree(source)
    if origin == "S3":
        bucket = site.bucket("slow")
        site.run(site.task(source, bucket, PREFIX))
        from_there = site.store_location(bucket, PREFIX)
    else:
        from_there = site.nfs_location(source, version="NFS3")
    made = task(site, from_there, efs(site, ONE, destination), {"BytesPerSecond": 15 * MIB})
    execution = site.launch(made)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 15 * MIB)
    nfs4.stop()
    time.sleep(2)
    assert site.describe(execution)["Status"] == "TRANSFERRING"
    assert os.listdir(destination), "it was killed in the middle"
    nfs4.start()
    site.datasync.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": -1})
    ended = site.wait_execution(execution, 240)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert_same(source, destination)
    again = site.run(made)
    assert again["FilesTransferred"] == 0, shown(again)
