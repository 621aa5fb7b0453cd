"""Slow, stalled, reset and damaged connections to the NAS and to the store."""

import itertools
import os
import signal
import threading
import time
from typing import NamedTuple

import pytest
from world import tree
from world.expected import Snapshot, keys, open_uploads
from world.nfs import PORT as NFS_PORT
from world.process import wait_until
from world.proxy import Cut, Proxy
from world.site import shown
from world.store import PORT as STORE_PORT

KIB = 1024
MIB = 1024 * KIB
MARKER = b"<one bit of the byte after this>"
# No test asserts a speed: this is for what never ends.
LIVENESS = 240
STALL_SECONDS = 8

LINES = {"nfs": (3049, NFS_PORT), "store": (9010, STORE_PORT)}


@pytest.fixture(scope="module")
def proxies(nfs, store):
    """To the NFS server and to the store."""
    made = {name: Proxy(*ports).start() for name, ports in LINES.items()}
    yield made
    for proxy in made.values():
        proxy.stop()


@pytest.fixture(params=LINES)
def line(request, proxies):
    yield proxies[request.param]
    proxies[request.param].heal()


@pytest.fixture
def to_nfs(proxies):
    yield proxies["nfs"]
    proxies["nfs"].heal()


@pytest.fixture
def to_store(proxies):
    yield proxies["store"]
    proxies["store"].heal()


class Job(NamedTuple):
    source: bytes
    bucket: str
    task: str
    since_ns: int

    def assert_exact(self, site):
        whole = Snapshot(self.source, since_ns=self.since_ns)
        whole.assert_at(site.store.client, self.bucket)
        assert open_uploads(site.store.client, self.bucket) == []


@pytest.fixture
def job(site, proxies):
    """A task over both proxies: one file in parts, 24 that go out in one request each."""
    since_ns = time.time_ns()
    source = site.source("network")
    tree.big(source + b"/big", 20 * MIB)
    for number in range(24):
        tree.write(source + b"/%02d" % number, tree.noise(number, 100 * KIB))
    bucket = site.bucket("network")
    nas = site.nfs_location(source, host=f"127.0.0.1:{proxies['nfs'].port}")
    store = site.store_location(bucket, ServerPort=proxies["store"].port)
    task = site.create_task(nas, store)
    site.wait_task(task, "AVAILABLE")
    return Job(source, bucket, task, since_ns)


def test_slow_bodies(site, job, line):
    line.piece = 16 * KIB
    passed = itertools.count()

    def slow(piece):
        next(passed)
        time.sleep(0.01)
        return piece.data

    line.fault = slow
    site.run(job.task, timeout=LIVENESS)
    assert next(passed) > 20 * MIB / (16 * KIB)
    job.assert_exact(site)


def test_everything_stands_still_for_a_while(site, job, line):
    passed = itertools.count()
    began = threading.Event()
    go_on = threading.Event()

    def stall(piece):
        if next(passed) >= 40:
            began.set()
            go_on.wait(LIVENESS)
        return piece.data

    line.fault = stall
    execution = site.launch(job.task)
    try:
        assert began.wait(60)
        time.sleep(STALL_SECONDS)
        described = site.describe(execution)
        assert described["Status"] not in ("SUCCESS", "ERROR"), shown(described)
    finally:
        go_on.set()
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    job.assert_exact(site)


def test_connections_are_reset_in_the_middle_of_bodies(site, job, line):
    resets = itertools.count()

    def reset(piece):
        # Bodies of READ replies go down, those of PUT requests up.
        is_body = piece.is_upward == (line.upstream == STORE_PORT)
        if is_body and piece.offset > 300 * KIB and next(resets) < 12:
            raise Cut
        return piece.data

    line.fault = reset
    site.run(job.task, timeout=LIVENESS)
    assert next(resets) > 12
    job.assert_exact(site)


def test_answers_of_the_store_are_lost(site, job, to_store):
    answers = itertools.count()

    def reset(piece):
        if not piece.is_upward and next(answers) % 4 == 3:
            raise Cut
        return piece.data

    execution = site.launch(job.task, {"BytesPerSecond": 4 * MIB})
    site.wait_execution(execution, until=lambda d: d["BytesTransferred"] > MIB)
    to_store.fault = reset
    wait_until("answers are lost", lambda: next(answers) > 20, 60, 0.2)
    to_store.heal()
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    job.assert_exact(site)


@pytest.mark.parametrize("which", ["nfs", "store"])
def test_a_server_is_frozen_for_a_while(site, job, nfs, store, which):
    server = {"nfs": nfs, "store": store}[which].server
    execution = site.launch(job.task, {"BytesPerSecond": 4 * MIB})
    site.wait_execution(execution, until=lambda d: d["BytesTransferred"] >= MIB)
    server.signal(signal.SIGSTOP)
    try:
        time.sleep(STALL_SECONDS)
    finally:
        server.signal(signal.SIGCONT)
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    job.assert_exact(site)


class Flips:
    """A fault that flips a bit after the marker, so many times."""

    def __init__(self, is_upward, times):
        self.is_upward = is_upward
        self.left = times
        self.made = 0
        self._lock = threading.Lock()

    def __call__(self, piece):
        at = piece.data.find(MARKER) + len(MARKER)
        if piece.is_upward != self.is_upward or at < len(MARKER) or at >= len(piece.data):
            return piece.data
        with self._lock:
            if self.left == 0:
                return piece.data
            self.left -= 1
            self.made += 1
        damaged = bytearray(piece.data)
        damaged[at] ^= 0x10
        return bytes(damaged)


def marked(path, size):
    """A file that holds the marker again and again, the last two times at its end."""
    block = MARKER + tree.noise(len(path), 3 * KIB - len(MARKER))
    tree.write(path, (block * (size // len(block) + 1))[: size - 2 * KIB] + MARKER * 2)


@pytest.fixture(params=[200 * KIB, 20 * MIB], ids=["whole", "in parts"])
def damaged_name(request, job):
    name = f"damaged-{request.param}"
    marked(job.source + b"/" + os.fsencode(name), request.param)
    return name


def test_a_bit_flipped_on_the_way_to_the_store_is_sent_again(site, job, to_store, damaged_name):
    to_store.fault = flips = Flips(is_upward=True, times=2)
    site.run(job.task, timeout=LIVENESS)
    assert flips.made == 2
    job.assert_exact(site)


def test_bits_flipped_again_and_again_fail_the_file_by_name(site, job, to_store, damaged_name):
    to_store.fault = flips = Flips(is_upward=True, times=10**9)
    ended = site.run(job.task, timeout=LIVENESS, status="ERROR")
    assert flips.made >= 2
    assert f"/{damaged_name} (ChecksumMismatch" in ended["Result"]["ErrorDetail"], shown(ended)
    assert "1 of 26 items" in ended["Result"]["ErrorDetail"], shown(ended)
    s3 = site.store.client
    assert damaged_name not in keys(s3, job.bucket)
    assert open_uploads(s3, job.bucket) == []
    wrong = Snapshot(job.source, since_ns=job.since_ns).differences(s3, job.bucket)
    assert wrong == [f"missing: '{damaged_name}'"]
    to_store.heal()
    site.run(job.task, timeout=LIVENESS)
    job.assert_exact(site)


def test_a_bit_flipped_in_what_the_nfs_server_gives_is_named(site, job, to_nfs, damaged_name):
    to_nfs.fault = flips = Flips(is_upward=False, times=1)
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    ended = site.run(job.task, timeout=LIVENESS, status="ERROR", options=options)
    assert flips.made == 1
    assert f"/{damaged_name} (SourceInconsistent" in ended["Result"]["ErrorDetail"], shown(ended)


# In the first reply of a connection: the record's mark (much or a little too long), the call's id,
# "reply", "accepted", "success". None becomes another valid answer.
@pytest.mark.parametrize("at", [0, 3, 7, 11, 15, 27])
def test_a_damaged_rpc_header_is_survived(site, job, to_nfs, at):
    damaged = itertools.count()

    def damage(piece):
        if piece.is_upward or piece.offset > 0:
            return piece.data
        if next(damaged) > 0:
            return piece.data
        header = bytearray(piece.data)
        header[at] ^= 0x04
        return bytes(header)

    mounted = set()

    def note(piece):
        mounted.add(piece.connection)
        return piece.data

    to_nfs.fault = note
    execution = site.launch(job.task, {"BytesPerSecond": 4 * MIB})
    site.wait_execution(execution, until=lambda d: d["BytesTransferred"] > MIB)
    # New connections come after these are lost.
    cut = set(mounted)

    def cut_once(piece):
        if piece.connection in cut:
            raise Cut
        return damage(piece)

    to_nfs.fault = cut_once
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert next(damaged) > 0
    job.assert_exact(site)
