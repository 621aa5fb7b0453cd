"""Destinations with a directory of many entries, and with a tree of 500 levels."""

import os

import pytest
from world import tree
from world.copied import assert_same
from world.site import shown

FEW, MANY = 4_000, 1_000_000
# Of one letter each: the longest path whose key stores allow (1,024 bytes).
LEVELS = 500
PREFIX = "p/"


def to_files(site, location, name, timeout=240):
    """Copies to a new directory, and again: nothing may move. Gives the directory."""
    directory = site.source(name)
    task = site.create_task(location, site.nfs_location(directory))
    site.wait_task(task, "AVAILABLE")
    site.run(task, timeout)
    again = site.run(task, timeout)
    assert (again["FilesTransferred"], again["BytesTransferred"]) == (0, 0), shown(again)
    return directory


@pytest.mark.parametrize("count", [
    FEW, pytest.param(MANY, marks=[pytest.mark.large, pytest.mark.timeout(6000)]),
])
def test_a_directory_of_many_entries_is_written(site, count):
    source = site.source("wide")
    below = tree.directory(source + b"/below")
    for number in range(count):
        # Some with content: what is empty takes a way of its own.
        tree.write(below + b"/%07d" % number, b"%d" % number if number % 4 == 0 else b"")
    tree.set_times(source)
    directory = to_files(site, site.nfs_location(source), "wide-to", 2400)
    assert_same(source, directory)


@pytest.mark.parametrize("origin", ["NFS", pytest.param("S3", marks=pytest.mark.large)])
def test_a_tree_of_500_levels_is_written(site, origin):
    source = site.source("deep")
    path = source
    for level in range(LEVELS):
        path = tree.directory(path + b"/d", 0o700 + level % 64)
        if level % 10 == 0:
            tree.write(path + b"/f", b"%d" % level)
    tree.write(path + b"/f", b"the last one")
    tree.set_times(source)
    location = site.nfs_location(source)
    if origin == "S3":
        bucket = site.bucket("deep")
        site.run(site.task(source, bucket, PREFIX))
        location = site.store_location(bucket, PREFIX)
    directory = to_files(site, location, "deep-to")
    assert_same(source, directory)
    with open(directory + b"/d" * LEVELS + b"/f", "rb") as file:
        assert file.read() == b"the last one"
    assert os.listdir(directory + b"/d" * LEVELS) == [b"f"]
