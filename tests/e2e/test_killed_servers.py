"""Servers that are killed and started again in the middle of what is written to NFS."""

import os
import time

import pytest
from world import tree
from world.copied import STAGING, assert_same, names_of_files
from world.nfs4 import Nfs4
from world.process import wait_until
from world.site import shown

MIB = 1024 * 1024
PREFIX = "below/"
VERSIONS = ["NFS3", "NFS4_0", "NFS4_1"]
FILES, NAMES_OF_EACH = 40, 30


@pytest.fixture(scope="module")
def nfs4(directory, module_logs, nfs):
    server = Nfs4(directory / "nfs4", module_logs, nfs).start()
    yield server
    server.stop()


class Server:
    """The NFS server of one version."""

    def __init__(self, site, nfs4, version):
        self.version = version
        self._of_three, self._of_four = site.nfs, nfs4

    def location(self, site, path):
        host = None if self.version == "NFS3" else self._of_four.host
        return site.nfs_location(path, host=host, version=self.version)

    def kill(self):
        """Until the clients notice, and for a while longer."""
        if self.version == "NFS3":
            self._of_three.server.kill()
        else:
            self._of_four.stop()
        time.sleep(2)

    def start(self):
        if self.version == "NFS3":
            self._of_three.start_server()
        else:
            self._of_four.start()


@pytest.fixture(params=VERSIONS)
def server(request, site, nfs4):
    return Server(site, nfs4, request.param)


@pytest.fixture(scope="module")
def from_bucket(site):
    """A tree, and a location in which it is."""
    source, bucket = site.source("slow"), site.bucket("slow")
    tree.big(source + b"/big", 40 * MIB)
    for number in range(200):
        tree.write(source + b"/%03d" % number, tree.noise(number, 64 * 1024))
    tree.set_times(source)
    site.run(site.task(source, bucket, PREFIX))
    return source, site.store_location(bucket, PREFIX)


def available(site, source, destination, options=None):
    task = site.create_task(source, destination, options)
    site.wait_task(task, "AVAILABLE")
    return task


def launch_until(site, task, share):
    """An execution that has transferred so much, and not all."""
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > share)
    assert site.describe(execution)["Status"] == "TRANSFERRING"
    return execution


def assert_goes_on(site, task, execution, source, destination):
    """At full speed."""
    site.datasync.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": -1})
    ended = site.wait_execution(execution, 240)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert_same(source, destination)
    assert names_of_files(destination) == names_of_files(source)
    again = site.run(task)
    assert (again["FilesTransferred"], again["BytesTransferred"]) == (0, 0), shown(again)


def test_the_server_that_a_bucket_is_written_to(site, server, from_bucket):
    source, bucket = from_bucket
    destination = site.source("slow-to")
    to = server.location(site, destination)
    task = available(site, bucket, to, {"BytesPerSecond": 15 * MIB})
    execution = launch_until(site, task, 15 * MIB)
    server.kill()
    assert STAGING in os.listdir(destination), "something is on its way"
    server.start()
    assert_goes_on(site, task, execution, source, destination)


def test_the_store_that_is_read(site, store, from_bucket):
    source, bucket = from_bucket
    destination = site.source("slow-to")
    to = site.nfs_location(destination, version="NFS3")
    task = available(site, bucket, to, {"BytesPerSecond": 15 * MIB})
    execution = launch_until(site, task, 15 * MIB)
    store.stop()
    time.sleep(2)
    assert STAGING in os.listdir(destination), "something is on its way"
    store.start()
    assert_goes_on(site, task, execution, source, destination)


def names_in(root):
    """The names of files below a directory, temporary ones left out."""
    walk = os.walk(root)
    return sum(len(names) for directory, _, names in walk if STAGING not in directory)


def test_the_server_on_which_names_are_linked(site, server):
    source, destination = site.source("linked"), site.source("linked-to")
    for number in range(FILES):
        below = tree.directory(source + b"/%02d" % number)
        tree.write(below + b"/file", tree.noise(number, 10_000))
    for number in range(FILES):
        for other in range(NAMES_OF_EACH):
            name = source + b"/%02d/%d of %d" % ((number + other) % FILES, other, number)
            os.link(source + b"/%02d/file" % number, name)
    tree.set_times(source)
    to = server.location(site, destination)
    task = available(site, site.nfs_location(source, version="NFS3"), to)
    execution = site.launch(task)
    total = FILES * (1 + NAMES_OF_EACH)
    wait_until("names are linked", lambda: names_in(destination) > total // 4, 120, 0.02)
    server.kill()
    there = names_in(destination)
    assert there < total, "it was killed in the middle"
    server.start()
    assert_goes_on(site, task, execution, source, destination)
