"""Keys that no file system can hold at once, `a` and `a/b`: the directory is made, the object `a` is named, and
what sorts between them arrives."""

import os

import pytest
from test_from_s3 import failures
from world import tree
from world.copied import STAGING
from world.expected import keys
from world.site import shown

MIB = 1024 * 1024
# By their bytes these sort between `a` and what is below `a/`, or right behind it.
BETWEEN = ["a!", "a-b", "a-b/inside", "a.txt", "a0", "a0/inside"]
SMALL, LARGE = b"the object", tree.noise("clash", 20 * MIB)
MARKER = {"file-permissions": "0040750", "file-owner": "7", "file-group": "8"}


def put(site, bucket, key, body=None, metadata=None):
    body = key.encode() if body is None else body
    site.store.client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata or {})


def fill(site, bucket, below, body, has_marker):
    """The object `a`, what is below `a/`, and what is between; gives the keys that are to be refused."""
    put(site, bucket, "a", body)
    # Those with something below them clash as well.
    for key in [*BETWEEN, *below]:
        put(site, bucket, key)
    if has_marker:
        put(site, bucket, "a/", b"", MARKER)
    put(site, bucket, "z")
    return {"a", "a-b", "a0"} | {key for key in below if any(k.startswith(key + "/") for k in below)}


def to_files(site, bucket, options=None):
    directory = site.source("clash")
    task = site.create_task(site.store_location(bucket), site.nfs_location(directory), options)
    site.wait_task(task, "AVAILABLE")
    return task, directory


def files(directory):
    """The content of each file, by path below the directory."""
    found = {}
    for below, _, names in os.walk(directory):
        for name in names:
            path = below + b"/" + name
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory).decode()] = file.read()
    return found


def assert_arrived(site, bucket, directory, ended, refused):
    named = failures(site, ended["TaskExecutionArn"])
    assert set(named) == refused, named
    assert all(item["code"] == "KeyNotAllowed" for item in named.values()), named
    wanted = {key: key.encode() for key in keys(site.store.client, bucket) if not key.endswith("/")}
    for key in refused:
        del wanted[key]
    assert files(directory) == wanted
    assert STAGING not in os.listdir(directory)


@pytest.mark.parametrize("has_marker", [False, True], ids=["no marker", "marker"])
@pytest.mark.parametrize("body", [b"", LARGE], ids=["empty", "in parts"])
@pytest.mark.parametrize("below", [
    ["a/b"], ["a/b", "a/b/c", "a/b-c"], [f"a/{number:03d}" for number in range(100)],
], ids=["one", "nested", "many"])
def test_the_directory_stays_and_the_object_is_named(site, below, body, has_marker):
    bucket = site.bucket("clash")
    refused = fill(site, bucket, below, body, has_marker)
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    task, directory = to_files(site, bucket, options)
    for _ in range(2):
        ended = site.run(task, status="ERROR")
        assert_arrived(site, bucket, directory, ended, refused)
        if has_marker:
            told = os.stat(directory + b"/a")
            assert (oct(told.st_mode & 0o7777), told.st_uid, told.st_gid) == ("0o750", 7, 8)
    assert ended["FilesTransferred"] == 0, shown(ended)


def test_an_object_with_an_empty_directory_of_its_name(site):
    bucket = site.bucket("clash")
    for key, body, metadata in [("a", SMALL, None), ("a/", b"", MARKER), ("a-b", b"a-b", None)]:
        put(site, bucket, key, body, metadata)
    task, directory = to_files(site, bucket)
    ended = site.run(task, status="ERROR")
    assert_arrived(site, bucket, directory, ended, {"a"})
    assert os.path.isdir(directory + b"/a")


def test_an_object_that_comes_later_is_named(site):
    bucket = site.bucket("clash")
    put(site, bucket, "a/b")
    put(site, bucket, "a.txt")
    task, directory = to_files(site, bucket)
    site.run(task)
    put(site, bucket, "a", SMALL)
    ended = site.run(task, status="ERROR")
    assert_arrived(site, bucket, directory, ended, {"a"})
