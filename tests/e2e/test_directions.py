"""From file systems to buckets and back: what comes home is what went out."""

import os
import random
import stat

import pytest
from world import tree
from world.copied import STAGING, assert_equal, assert_same, entries
from world.expected import keys
from world.site import shown

NOBODY = 65534
MIB = 1024 * 1024
FEW, MANY = 800, 100_000


def to_files(site, bucket, name, prefix="", **more):
    """A task from a bucket to a new directory of the export, AVAILABLE; and the directory."""
    directory = site.source(name)
    arn = site.create_task(site.store_location(bucket, prefix), site.nfs_location(directory), **more)
    site.wait_task(arn, "AVAILABLE")
    return arn, directory


def between(site, bucket, other, prefix):
    """A task from one bucket to another."""
    arn = site.create_task(
        site.store_location(bucket, prefix), site.store_location(other, prefix)
    )
    site.wait_task(arn, "AVAILABLE")
    return arn


def there_and_back(site, name, source, timeout=240, options=None):
    """Through two buckets, and home into another directory. Below a prefix the root is an object too."""
    first, second = site.bucket(f"{name}-1"), site.bucket(f"{name}-2")
    prefix = "below/"
    site.run(site.task(source, first, prefix, options), timeout=timeout)
    site.run(between(site, first, second, prefix), timeout=timeout)
    home, directory = to_files(site, second, f"{name}-home", prefix, options=options)
    site.run(home, timeout=timeout)
    return home, directory


def test_every_kind_of_entry_comes_home(site):
    source = site.source("home")
    for special in tree.kinds(source + b"/kinds"):
        os.unlink(special)
    # Two names of one file become two files: neither is linked at home.
    os.unlink(source + b"/kinds/hard link 2")
    tree.odd_names(source)
    tree.neighbours(source)
    tree.sizes(source + b"/sizes")
    home, directory = there_and_back(site, "home", source)
    assert_same(source, directory)
    # An island in 23 MiB of nothing.
    assert os.stat(directory + b"/kinds/sparse").st_blocks * 512 < 4 * MIB
    again = site.run(home)
    assert (again["FilesTransferred"], again["BytesWritten"]) == (0, 0), shown(again)


def random_tree(root, count, seed):
    """Entries of all kinds with attributes of all kinds; gives the times of access."""
    chance = random.Random(seed)
    directories, last = [root], None
    for number in range(count):
        parent = chance.choice(directories[-200:])
        name = chance.choice([b"%d", b"\xc3\xa9%d", b"\xff%d", b"a b%d", b"%d.txt"]) % number
        path = parent + b"/" + name
        kind = chance.random()
        if kind < 0.1:
            os.mkdir(path)
            directories.append(path)
        elif kind < 0.15:
            os.symlink(b"to/" + name, path)
            os.lchown(path, chance.randrange(2**32 - 1), chance.randrange(2**32 - 1))
            continue
        elif kind < 0.18:
            of_kind = chance.choice([stat.S_IFBLK, stat.S_IFCHR])
            os.mknod(path, of_kind, os.makedev(chance.randrange(2**12), chance.randrange(2**20)))
        elif kind < 0.21 and last:
            os.link(last, path)
        else:
            last = path
            tree.write(path, chance.randbytes(chance.choice([0, 1, 100, 5000])))
        os.chown(path, chance.randrange(2**32 - 1), chance.randrange(2**32 - 1))
        os.chmod(path, chance.randrange(0o10000))
    for path in sorted(entries(root, devices=True), reverse=True):
        if not os.path.islink(root + path):
            # NFSv3 knows times from 1970 to 2106.
            times = [chance.randrange(2**32) * 10**9 + chance.randrange(10**9) for _ in range(2)]
            os.utime(root + path, ns=tuple(times))
    return times_of_access(root)


def times_of_access(root):
    """Of what has one name: whoever reads a file by one of several may set the time of all."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            told = os.lstat(directory + b"/" + name)
            if told.st_nlink == 1 and not stat.S_ISLNK(told.st_mode):
                found[os.path.relpath(directory + b"/" + name, root)] = told.st_atime_ns
    return found


@pytest.mark.parametrize("count", [
    FEW, pytest.param(MANY, marks=[pytest.mark.large, pytest.mark.timeout(3000)]),
])
def test_random_entries_come_home_bit_for_bit(site, count):
    source = site.source(f"random-{count}")
    accessed = random_tree(source, count, seed=count)
    _, directory = there_and_back(
        site, f"random-{count}", source, timeout=1800, options={"PreserveDevices": "PRESERVE"}
    )
    at_home = times_of_access(directory)
    assert {path: at_home[path] for path in accessed} == accessed
    assert_equal(entries(source, devices=True), entries(directory, devices=True))
    assert STAGING not in os.listdir(directory)


def test_objects_of_others_get_defaults(site):
    client, bucket = site.store.client, site.bucket("defaults")
    client.put_object(Bucket=bucket, Key="a/b/file", Body=b"content")
    client.put_object(Bucket=bucket, Key="gateway", Body=b"g", Metadata={
        "file-permissions": "0640", "file-owner": "7", "file-group": "8",
        "file-mtime": "1595002920000000000ns"})
    client.put_object(Bucket=bucket, Key="named", Body=b"n", Metadata={
        "file-owner": "anna", "file-group": "hdfs", "file-permissions": "0100600"})
    client.put_object(Bucket=bucket, Key="millis", Body=b"m", Metadata={"file-mtime": "1734968895000"})
    task, directory = to_files(site, bucket, "defaults-files")
    os.chmod(directory, 0o750)
    os.chown(directory, 12, 13)
    site.run(task)

    def attributes(path):
        found = os.lstat(directory + path)
        return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid

    # No object stands for it.
    assert attributes(b"") == (0o750, 12, 13)
    assert attributes(b"/a") == attributes(b"/a/b") == (0o755, NOBODY, NOBODY)
    assert attributes(b"/a/b/file") == (0o644, NOBODY, NOBODY)
    written = client.head_object(Bucket=bucket, Key="a/b/file")["LastModified"]
    assert int(os.lstat(directory + b"/a/b/file").st_mtime) == int(written.timestamp())
    assert attributes(b"/gateway") == (0o640, 7, 8)
    assert os.lstat(directory + b"/gateway").st_mtime_ns == 1595002920000000000
    assert attributes(b"/named") == (0o600, NOBODY, NOBODY)
    assert os.lstat(directory + b"/millis").st_mtime_ns == 1734968895000 * 10**6
    again = site.run(task)
    assert again["FilesTransferred"] == 0, shown(again)


def test_keys_that_no_file_system_can_hold_are_named_and_the_rest_arrives(site):
    client, bucket = site.store.client, site.bucket("no-files")
    refused = [
        "../climbs", "a/../../climbs", "/absolute", "a//b", "a/./b", "both/below", "n" * 300,
    ]
    for key in [*refused, "both", "plain", "z/last"]:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    task, directory = to_files(site, bucket, "no-files-to")
    ended = site.run(task, status="ERROR")
    outside = os.listdir(os.path.dirname(directory))
    assert b"climbs" not in outside, outside
    assert "ItemsFailed" in ended["Result"]["ErrorCode"], shown(ended)
    for name in (b"/plain", b"/z/last"):
        with open(directory + name, "rb") as file:
            assert file.read() == name[1:], name
    # One of a file and a directory of the same name is there, whole.
    both = directory + b"/both"
    if os.path.isdir(both):
        assert os.listdir(both) == [b"below"]
    else:
        with open(both, "rb") as file:
            assert file.read() == b"both"


def test_what_a_bucket_lost_goes_from_the_files_too(site):
    client, bucket = site.store.client, site.bucket("lost")
    for number in range(40):
        key = f"d{number % 4}/f{number}"
        client.put_object(Bucket=bucket, Key=key, Body=b"content %d" % number)
    options = {"PreserveDeletedFiles": "REMOVE"}
    task, directory = to_files(site, bucket, "lost-files", options=options)
    site.run(task)
    for key in keys(client, bucket):
        if key.startswith(("d1/", "d2/f2")):
            client.delete_object(Bucket=bucket, Key=key)
    ended = site.run(task)
    assert ended["FilesDeleted"] > 0, shown(ended)
    files = sorted(path[1:].decode() for path in entries(directory) if b"/f" in path)
    assert files == sorted(keys(client, bucket))
    assert not os.path.exists(directory + b"/d1")
