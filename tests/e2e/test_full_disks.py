"""No room left: on the agent's disk, on the store's, on that of an NFS server."""

import os
import time
from types import SimpleNamespace

import pytest
from world import tree
from world.copied import STAGING, assert_same, entries
from world.expected import Snapshot, open_uploads
from world.nfs4 import Nfs4
from world.process import Failed, run
from world.site import Site, shown
from world.store import Store

KIB = 1024
MIB = 1024 * KIB
RATE = 2 * MIB
# An execution needs 64 MiB, and leaves a twentieth to others.
STATE_MIB = 128
LIVENESS = 240


def mount_small(path, mebibytes):
    """An empty file system of that size."""
    path.mkdir(parents=True)
    options = f"mode=700,size={mebibytes}m"
    mounted = run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path])
    if mounted.returncode != 0:
        raise Failed(mounted.stderr)


def resize(path, mebibytes):
    resized = run(["mount", "-o", f"remount,size={mebibytes}m", path])
    assert resized.returncode == 0, resized.stderr


def fill(path, left=0):
    """A file that takes what is free, but for `left` bytes."""
    filler = path / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (MIB, KIB):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
        file.truncate(max(file.tell() - left, 0))
    return filler


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    """An agent whose state directory is a file system of its own."""
    made = Site(directory, module_logs, nfs, store)
    state = directory / "agent"
    mount_small(state, STATE_MIB)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        run(["umount", "--lazy", state])


def says_local_state(described):
    return described.get("Result", {}).get("ErrorCode") == "LocalStateFault"


@pytest.mark.parametrize("killed", [False, True], ids=["paused", "killed while it is full"])
def test_the_agents_disk_fills_up_in_the_middle(site, killed):
    since_ns = time.time_ns()
    source = site.source("full")
    tree.big(source + b"/big", 20 * MIB)
    for number in range(200):
        tree.write(source + b"/%03d" % number, tree.noise(number, 50 * KIB))
    bucket = site.bucket("full")
    task = site.task(source, bucket, options={"BytesPerSecond": RATE})
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["BytesTransferred"] >= 2 * MIB)
    filler = fill(site.agent.state)
    try:
        paused = site.wait_execution(execution, until=says_local_state)
        assert paused["Status"] not in ("SUCCESS", "ERROR"), shown(paused)
        assert "No space left" in paused["Result"]["ErrorDetail"], shown(paused)
        if killed:
            site.agent.kill()
            site.agent.start()
            site.agent.wait_online(site.datasync)
        resize(site.agent.state, 2 * STATE_MIB)
        ended = site.wait_execution(execution, timeout=LIVENESS)
        assert ended["Status"] == "SUCCESS", shown(ended)
        assert not says_local_state(ended), shown(ended)
        Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
        assert open_uploads(site.store.client, bucket) == []
    finally:
        filler.unlink(missing_ok=True)
        resize(site.agent.state, STATE_MIB)


def test_an_execution_that_has_too_little_room_to_begin_waits_for_it(site):
    source = site.source("no-room")
    tree.write(source + b"/file", b"content")
    task = site.task(source, site.bucket("no-room"))
    filler = fill(site.agent.state, left=20 * MIB)
    try:
        execution = site.launch(task)
        described = site.wait_execution(execution, until=says_local_state)
        assert "needs about 64 MiB" in described["Result"]["ErrorDetail"], shown(described)
    finally:
        filler.unlink()
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)


def test_an_execution_that_the_agent_cannot_even_note_down_is_refused(site):
    since_ns = time.time_ns()
    source = site.source("no-note")
    tree.write(source + b"/file", b"content")
    bucket = site.bucket("no-note")
    task = site.task(source, bucket)
    filler = fill(site.agent.state)
    try:
        ended = site.run(task, status="ERROR")
        assert says_local_state(ended), shown(ended)
        assert "No space left" in ended["Result"]["ErrorDetail"], shown(ended)
    finally:
        filler.unlink()
    site.run(task)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)


@pytest.fixture
def small_store(directory, module_logs):
    """A store of its own, with 32 MiB."""
    root = directory / "small-store"
    mount_small(root, 32)
    made = Store(root, module_logs, port=9020)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        run(["umount", "--lazy", root])


def test_the_stores_disk_is_full(site, small_store, directory):
    since_ns = time.time_ns()
    source = site.source("full-store")
    tree.big(source + b"/big", 48 * MIB)
    for number in range(40):
        tree.write(source + b"/%02d" % number, tree.noise(number, 1 * MIB))
    bucket = small_store.bucket("full")
    task = site.create_task(
        site.nfs_location(source), site.store_location(bucket, ServerPort=small_store.port)
    )
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task, timeout=LIVENESS, status="ERROR")
    # One item tells of all: nothing more is sent.
    assert ended["Result"]["ErrorCode"] == "DestinationFault", shown(ended)
    assert f"s3://{bucket}/" in ended["Result"]["ErrorDetail"], shown(ended)
    assert "InsufficientStorage" in ended["Result"]["ErrorDetail"], shown(ended)
    # What is there is whole.
    whole = Snapshot(source, since_ns=since_ns)
    wrong = whole.differences(small_store.client, bucket)
    assert wrong and all(line.startswith("missing: ") for line in wrong), wrong
    resize(directory / "small-store", 160)
    site.run(task, timeout=LIVENESS)
    whole.assert_at(small_store.client, bucket)
    assert open_uploads(small_store.client, bucket) == []


@pytest.fixture
def small_export(directory, module_logs):
    """An NFS server whose file system has room for 24 MiB, and the file system."""
    room = directory / "small"
    mount_small(room, 24)
    room.chmod(0o755)
    server = Nfs4(directory / "nfs4", module_logs, SimpleNamespace(open=room))
    try:
        yield server.start(), room
    finally:
        server.stop()
        run(["umount", "--lazy", room])


def test_an_nfs_server_fills_up(site, small_export):
    server, room = small_export
    source, destination = site.source("fills"), tree.directory(os.fsencode(room) + b"/to")
    for number in range(50):
        tree.write(source + b"/%02d" % number, tree.noise(number, 64 * KIB))
    tree.big(source + b"/big", 40 * MIB)
    task = site.create_task(
        site.nfs_location(source), site.nfs_location(destination, server.host, version="NFS4_1")
    )
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task, status="ERROR")
    assert "NFS4ERR_NOSPC" in ended["Result"]["ErrorDetail"], shown(ended)
    found, wanted = entries(destination), entries(source)
    files = [path for path in found if found[path]["content"]]
    assert b"/big" not in files and all(found[path] == wanted[path] for path in files), files
    assert STAGING not in os.listdir(destination)
    resize(room, 96)
    site.run(task)
    assert_same(source, destination)
