"""NFS as a destination: trees that arrive as they are, and all that may come in between."""

import json
import os
import shutil
import time

import pytest
from world import tree
from world.copied import STAGING, assert_same, entries
from world.nfs4 import Nfs4
from world.process import binary, run, wait_until
from world.site import shown

MIB = 1024 * 1024
REMOVE = {"PreserveDeletedFiles": "REMOVE"}


@pytest.fixture(scope="module")
def nfs4(directory, module_logs, nfs):
    server = Nfs4(directory / "nfs4", module_logs, nfs).start()
    yield server
    server.stop()


class Pair:
    """A directory that is read by version 3, and one that is written to."""

    def __init__(self, site, name, version="NFS3", host=None, options=None, squashed=False, **more):
        self.site = site
        self.source = site.source(name)
        self.destination = site.source(f"{name}-to", squashed=squashed)
        self.task = site.create_task(
            site.nfs_location(self.source, version="NFS3"),
            site.nfs_location(self.destination, host=host, version=version),
            options,
            **more,
        )

    def available(self):
        self.site.wait_task(self.task, "AVAILABLE")
        return self

    def run(self, **more):
        return self.site.run(self.task, **more)

    def assert_same(self):
        assert_same(self.source, self.destination)


@pytest.mark.parametrize("version", ["NFS3", "NFS4_0", "NFS4_1", "AUTOMATIC"])
def test_a_tree_arrives_as_it_is_and_stays(site, nfs4, version):
    host = None if version == "NFS3" else nfs4.host
    pair = Pair(site, "whole", version, host, {"VerifyMode": "POINT_IN_TIME_CONSISTENT"})
    tree.a_bit_of_everything(pair.source)
    # A probe, which may be under way once more, leaves it as it was.
    wait_until("the probe has gone", lambda: os.listdir(pair.destination) == [], 20)
    pair.available()
    first = pair.run()
    assert first["FilesTransferred"] == len(entries(pair.source)), shown(first)
    pair.assert_same()
    before = entries(pair.destination)
    again = pair.run()
    assert again["BytesTransferred"] == 0, shown(again)
    assert again["FilesTransferred"] == 0, shown(again)
    assert entries(pair.destination) == before
    pair.assert_same()


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_changes_and_deletes_arrive_and_directories_keep_their_times(site, nfs4, version):
    host = None if version == "NFS3" else nfs4.host
    pair = Pair(site, "changes", version, host, REMOVE).available()
    root = pair.source
    for name in (b"kept", b"gone/deep/below", b"other"):
        directory = tree.directory(root + b"/" + name)
        for number in range(20):
            tree.write(directory + b"/%d" % number, tree.noise(number, 10_000))
    tree.set_times(root)
    pair.run()
    pair.assert_same()
    # A directory that is written into, and not written: its own times stay.
    tree.write(root + b"/kept/3", b"another content")
    os.chmod(root + b"/kept/4", 0o400)
    os.chown(root + b"/kept/5", 99, 98)
    os.utime(root + b"/kept/6", ns=(5, 6))
    tree.write(root + b"/other/new", b"new")
    os.remove(root + b"/other/7")
    shutil.rmtree(root + b"/gone")
    os.remove(root + b"/other/1")
    os.symlink(b"2", root + b"/other/1")
    ended = pair.run()
    assert ended["FilesDeleted"] == 1 + 20 + 3, shown(ended)
    pair.assert_same()
    again = pair.run()
    assert (again["FilesTransferred"], again["FilesDeleted"]) == (0, 0), shown(again)
    pair.assert_same()


def test_what_somebody_changed_there_is_put_right(site):
    pair = Pair(site, "foreign").available()
    tree.a_bit_of_everything(pair.source)
    pair.run()
    os.utime(pair.destination + b"/closed", ns=(1, 1))
    os.chmod(pair.destination + b"/closed/empty", 0o777)
    tree.write(pair.destination + b"/closed/299", b"foreign")
    os.remove(pair.destination + b"/link")
    os.symlink(b"/elsewhere", pair.destination + b"/link")
    ended = pair.run()
    # With the root, whose time the new link has changed.
    assert ended["FilesTransferred"] == 5, shown(ended)
    pair.assert_same()


def test_an_agent_that_is_killed_goes_on(site):
    # So slow that it is on its way at both kills, however late they come.
    pair = Pair(site, "killed", options={"BytesPerSecond": 6 * MIB}).available()
    tree.big(pair.source + b"/big", 60 * MIB)
    below = tree.directory(pair.source + b"/below")
    for number in range(400):
        tree.write(below + b"/%03d" % number, tree.noise(number, 64 * 1024))
    tree.set_times(pair.source)
    execution = site.launch(pair.task)
    for share in (10, 40):
        site.wait_execution(
            execution, until=lambda described: described["BytesTransferred"] > share * MIB
        )
        site.agent.kill()
        assert STAGING in os.listdir(pair.destination)
        site.agent.start()
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": -1}
    )
    ended = site.wait_execution(execution, 180)
    assert ended["Status"] == "SUCCESS", shown(ended)
    pair.assert_same()
    again = pair.run()
    assert again["FilesTransferred"] == 0, shown(again)


@pytest.mark.parametrize("version", ["NFS4_1", "NFS4_0"])
def test_a_server_that_is_killed_holds_a_transfer_up_and_loses_nothing(site, nfs4, version):
    pair = Pair(site, "restart", version, nfs4.host, {"BytesPerSecond": 30 * MIB}).available()
    tree.big(pair.source + b"/big", 100 * MIB)
    for number in range(200):
        tree.write(pair.source + b"/%03d" % number, tree.noise(number, 64 * 1024))
    tree.set_times(pair.source)
    execution = site.launch(pair.task)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 20 * MIB)
    nfs4.stop()
    time.sleep(2)
    nfs4.start()
    ended = site.wait_execution(execution, 240)
    assert ended["Status"] == "SUCCESS", shown(ended)
    pair.assert_same()


def test_a_server_of_version_three_is_killed(site):
    pair = Pair(site, "restart-3", options={"BytesPerSecond": 30 * MIB}).available()
    tree.big(pair.source + b"/big", 100 * MIB)
    for number in range(200):
        tree.write(pair.source + b"/%03d" % number, tree.noise(number, 64 * 1024))
    tree.set_times(pair.source)
    execution = site.launch(pair.task)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 20 * MIB)
    # Both sides are gone at once.
    site.nfs.server.kill()
    time.sleep(2)
    site.nfs.start_server()
    ended = site.wait_execution(execution, 240)
    assert ended["Status"] == "SUCCESS", shown(ended)
    pair.assert_same()


def test_what_a_cancel_leaves_is_in_order(site):
    pair = Pair(site, "cancelled", options={"BytesPerSecond": 10 * MIB}).available()
    tree.big(pair.source + b"/big", 60 * MIB)
    for number in range(100):
        tree.write(tree.directory(pair.source + b"/small") + b"/%03d" % number, b"x" * 100_000)
    tree.set_times(pair.source)
    execution = site.launch(pair.task)
    site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 15 * MIB)
    site.datasync.cancel_task_execution(TaskExecutionArn=execution)
    site.wait_execution(execution)
    found, wanted = entries(pair.destination), entries(pair.source)
    assert STAGING not in os.listdir(pair.destination)
    assert b"/big" not in found
    for path in found.keys() & wanted.keys():
        assert found[path] == wanted[path] or path == b"", path
    pair.run(options={"BytesPerSecond": -1})
    pair.assert_same()


def test_what_is_in_the_way_is_named_and_the_rest_arrives(site):
    pair = Pair(site, "clash", options={"PreserveDeletedFiles": "PRESERVE"}).available()
    tree.write(tree.directory(pair.source + b"/directory") + b"/below", b"1")
    tree.write(pair.source + b"/file", b"2")
    tree.write(pair.source + b"/rest", b"3")
    tree.write(tree.directory(pair.source + b"/through") + b"/below", b"4")
    outside = site.source("outside")
    tree.write(pair.destination + b"/directory", b"in the way")
    tree.directory(pair.destination + b"/file")
    os.symlink(outside, pair.destination + b"/through")
    ended = pair.run(status="ERROR")
    detail = ended["Result"]["ErrorDetail"]
    assert "5 of 7 items" in detail and "entry of type" in detail, shown(ended)
    with open(pair.destination + b"/rest", "rb") as rest:
        assert rest.read() == b"3"
    with open(pair.destination + b"/directory", "rb") as kept:
        assert kept.read() == b"in the way"
    assert os.listdir(outside) == []
    assert STAGING not in os.listdir(pair.destination)
    # What is in the way goes by a run that removes, and the next one writes.
    site.run(pair.task, options=REMOVE, status="ERROR")
    site.run(pair.task, options=REMOVE)
    pair.assert_same()


def test_a_root_that_is_squashed_is_told_what_to_do(site):
    pair = Pair(site, "squashed", squashed=True)
    described = site.wait_task(pair.task, "UNAVAILABLE")
    assert described["ErrorCode"] == "DestinationPermissionDenied", shown(described)
    assert "no_root_squash" in described["ErrorDetail"], shown(described)
    pair = Pair(site, "writable", squashed=True)
    os.chown(pair.destination, 65534, 65534)
    pair.available()
    tree.write(pair.source + b"/one", b"1")
    ended = site.run(pair.task, status="ERROR")
    assert "Uid and Gid NONE" in ended["Result"]["ErrorDetail"], shown(ended)
    assert STAGING not in os.listdir(pair.destination)
    site.run(pair.task, options={"Uid": "NONE", "Gid": "NONE"})
    with open(pair.destination + b"/one", "rb") as one:
        assert one.read() == b"1"


def test_nothing_is_replaced_where_overwriting_is_forbidden(site):
    options = {"OverwriteMode": "NEVER"}
    pair = Pair(site, "never", options=options).available()
    for name in (b"one", b"two"):
        tree.write(tree.directory(pair.source + b"/in") + b"/" + name, name)
    tree.write(tree.directory(pair.destination + b"/in") + b"/one", b"theirs")
    tree.set_times(pair.source)
    tree.set_times(pair.destination)
    before = os.stat(pair.destination + b"/in").st_mtime_ns
    pair.run(status="SUCCESS")
    with open(pair.destination + b"/in/one", "rb") as kept:
        assert kept.read() == b"theirs"
    with open(pair.destination + b"/in/two", "rb") as new:
        assert new.read() == b"two"
    assert os.stat(pair.destination + b"/in").st_mtime_ns == before


def test_the_same_directory_under_another_name_is_refused(site, nfs4):
    source = site.source("itself")
    tree.write(source + b"/one", b"1")
    # By another port: only the server knows that it is the same.
    task = site.create_task(
        site.nfs_location(source, host="127.0.0.1", version="NFS3"),
        site.nfs_location(source, host="localhost", version="NFS3"),
    )
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task, status="ERROR")
    assert "same directory" in ended["Result"]["ErrorDetail"], shown(ended)
    assert os.listdir(source) == [b"one"]


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_a_location_within_the_other_is_found_by_the_walk(site, nfs4, version):
    """By other names and versions, so that only what the walks meet tells it."""
    outer = site.source(f"outer-{version}")
    inner = tree.directory(outer + b"/inner/side")
    tree.write(inner + b"/one", b"1")
    tree.write(outer + b"/own", b"2")
    host = "localhost" if version == "NFS3" else nfs4.host
    for source, destination, says in (
        (outer, inner, "the source's directory /inner/side is where the destination begins"),
        (inner, outer, "the destination's directory /inner/side is where the source begins"),
    ):
        task = site.create_task(
            site.nfs_location(source, version="NFS3"),
            site.nfs_location(destination, host=host, version=version),
            REMOVE,
        )
        site.wait_task(task, "AVAILABLE")
        ended = site.run(task, status="ERROR")
        assert says in ended["Result"]["ErrorDetail"], shown(ended)
        assert ended["FilesDeleted"] == 0, shown(ended)
    assert {b"/own", b"/inner/side/one"} <= entries(outer).keys()


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
@pytest.mark.parametrize("verified", ["ONLY_FILES_TRANSFERRED", "POINT_IN_TIME_CONSISTENT"])
def test_times_of_access_are_those_of_before_the_copy(site, nfs4, version, verified):
    host = None if version == "NFS3" else nfs4.host
    options = {"VerifyMode": verified}
    pair = Pair(site, f"accessed-{version}-{verified}", version, host=host, options=options).available()
    tree.a_bit_of_everything(pair.source)
    # What is looked at in between is read, and its time of access set.
    names = list(entries(pair.source))
    tree.set_times(pair.source)
    before = {name: os.lstat(pair.source + name).st_atime_ns for name in names}
    pair.run()
    for name in names:
        # The end check of everything lists directories once more.
        is_listed = verified == "POINT_IN_TIME_CONSISTENT" and os.path.isdir(pair.source + name)
        if not is_listed and not os.path.islink(pair.source + name):
            after = os.lstat(pair.destination + name).st_atime_ns
            assert after == before[name], (name, after, before[name])


def test_links_stay_links_where_permissions_are_not_kept(site):
    pair = Pair(site, "no-modes", options={"PosixPermissions": "NONE"}).available()
    tree.write(pair.source + b"/file", b"13 bytes long")
    os.symlink(b"13 bytes long", pair.source + b"/link")
    pair.run()
    assert os.readlink(pair.destination + b"/link") == b"13 bytes long"
    # Somebody swaps them: of the same size, and as old.
    times = {name: os.lstat(pair.destination + name).st_mtime_ns for name in (b"/file", b"/link")}
    for name in times:
        os.remove(pair.destination + name)
    tree.write(pair.destination + b"/link", b"13 bytes long")
    os.symlink(b"13 bytes long", pair.destination + b"/file")
    for name, mtime in times.items():
        os.utime(pair.destination + name, ns=(mtime, mtime), follow_symlinks=False)
    pair.run()
    assert os.readlink(pair.destination + b"/link") == b"13 bytes long"
    assert not os.path.islink(pair.destination + b"/file")


def test_copy_by_itself_goes_from_one_server_to_another(site, nfs4, directory):
    source, destination = site.source("alone"), site.source("alone-to")
    tree.a_bit_of_everything(source)
    home = directory / "alone"
    home.mkdir()
    urls = [f"nfs://{site.nfs.host}{os.fsdecode(source)}", f"nfs://{nfs4.host}{os.fsdecode(destination)}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def copied(*flags, code=0):
        command = [binary("datasync-agent"), "copy", *urls, "--json", *flags]
        answer = run(command, timeout=120, env=environment)
        assert answer.returncode == code, answer
        return json.loads(answer.stdout)

    first = copied()
    assert first["counters"]["transferred"] == len(entries(source)), first
    assert_same(source, destination)
    assert copied()["counters"]["transferred"] == 0
    tree.write(source + b"/closed/000", b"changed")
    planned = copied("--dry-run")
    assert planned["plan"], planned
    assert copied()["counters"]["transferred"] == 1
    assert_same(source, destination)
    urls[1] = urls[0] + "/below"
    command = [binary("datasync-agent"), "copy", *urls]
    answer = run(command, timeout=120, env=environment)
    assert answer.returncode == 64 and "lies in the other" in answer.stderr, answer
