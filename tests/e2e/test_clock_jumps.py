"""The agent's wall clock jumps while it works; its monotonic clock does not, as on a real machine."""

import os
import time

import pytest
from world import tree
from world.expected import Snapshot, open_uploads
from world.site import Site, shown

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
KIB = 1024
MIB = 1024 * KIB
RATE = 5 * MIB
TOTAL = 30 * MIB
HOUR = 3600
LIVENESS = 180


class Clock:
    """The wall clock of a program, by a file with its offset in seconds."""

    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        beside = self.path.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.rename(self.path)

    def environment(self):
        return {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture(scope="module")
def clock(directory):
    return Clock(directory / "clock")


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, clock):
    """An agent whose clock can be set."""
    assert os.path.exists(FAKETIME), "faketime is not installed; tests/run installs it"
    made = Site(directory, module_logs, nfs, store)
    try:
        made.start(agent_environment=clock.environment())
        yield made
    finally:
        clock.set(0)
        made.stop()


@pytest.fixture
def slow(site, clock):
    """A source, its bucket and its task, which takes 6 s."""
    clock.set(0)
    source = site.source("clock")
    tree.big(source + b"/big", 20 * MIB)
    for number in range(40):
        tree.write(source + b"/%02d" % number, tree.noise(number, 256 * KIB))
    bucket = site.bucket("clock")
    return source, bucket, site.task(source, bucket, options={"BytesPerSecond": RATE})


def assert_exact(site, source, bucket, since_ns):
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    assert open_uploads(site.store.client, bucket) == []


def watch(site, execution, jump):
    """Describes until the end; jumps once 2 MiB are there. The agent stays ONLINE all the time."""
    jumped = False
    samples = []
    deadline = time.monotonic() + LIVENESS
    while True:
        described = site.describe(execution)
        samples.append((time.monotonic(), described.get("BytesTransferred", 0)))
        agent = site.datasync.describe_agent(AgentArn=site.agent.arn)["Status"]
        assert agent == "ONLINE", f"{agent} {time.monotonic() - samples[0][0]:.1f} s after the start"
        if described["Status"] in ("SUCCESS", "ERROR"):
            return described, samples
        if not jumped and described.get("BytesTransferred", 0) >= 2 * MIB:
            jumped = True
            jump()
        assert time.monotonic() < deadline, shown(described)
        time.sleep(0.2)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_the_clock_jumps_while_a_transfer_runs(site, clock, slow, seconds):
    source, bucket, task = slow
    since_ns = time.time_ns() - HOUR * 10**9
    execution = site.launch(task)
    ended, samples = watch(site, execution, lambda: clock.set(seconds))
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert_exact(site, source, bucket, since_ns)
    # Neither the limit nor what is told of the time follows the jump.
    for start, (began, before) in enumerate(samples):
        for now, after in samples[start + 1 :]:
            assert after - before <= RATE * (now - began + 3)
    took_ms = ended["Result"]["TransferDuration"]
    assert (TOTAL / RATE - 1) * 1000 <= took_ms < LIVENESS * 1000, shown(ended)
    assert ended["Result"]["TotalDuration"] < LIVENESS * 1000, shown(ended)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_an_agent_whose_clock_is_wrong_from_the_start(site, clock, slow, seconds):
    source, bucket, task = slow
    since_ns = time.time_ns() - HOUR * 10**9
    assert site.agent.stop() == 0
    clock.set(seconds)
    site.agent.start()
    site.agent.wait_online(site.datasync)
    site.run(task, timeout=LIVENESS)
    assert_exact(site, source, bucket, since_ns)
    # Another run has nothing to do: what the catalog remembers is dated by the store.
    clock.set(0)
    again = site.run(task, timeout=LIVENESS)
    assert again["FilesTransferred"] == 0, shown(again)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_control_is_found_again_after_a_jump(site, clock, slow, seconds):
    source, bucket, task = slow
    since_ns = time.time_ns() - HOUR * 10**9
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["BytesTransferred"] >= 2 * MIB)
    clock.set(seconds)
    site.control.server.kill()
    site.control.start()
    site.agent.wait_online(site.datasync)
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert_exact(site, source, bucket, since_ns)


def test_the_clock_jumps_to_and_fro(site, clock, slow):
    source, bucket, task = slow
    since_ns = time.time_ns() - HOUR * 10**9
    execution = site.launch(task)
    for offset in (HOUR, 0, -HOUR, HOUR, -HOUR, 0):
        time.sleep(0.8)
        clock.set(offset)
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert_exact(site, source, bucket, since_ns)
