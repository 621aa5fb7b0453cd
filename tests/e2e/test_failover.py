"""Two agents on the same locations: one is gone in the middle of a transfer, the other finishes it."""

import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from world import tree
from world.agent import Agent
from world.expected import Snapshot, open_uploads, versions
from world.process import wait_until
from world.proxy import Proxy
from world.site import Site, shown
from world.store import PORT as STORE_PORT

MIB = 1024 * 1024
# A quarter of a minute at this rate.
RATE = 4 * MIB
BIG = 40 * MIB
SMALL = 40
PROXY_PORT = 9012
SECOND_PORT = 81
# What the documents say of offline_after_seconds = 8.
FAILOVER_SECONDS = 16
LIVENESS = 180
# Requests that change something at a store.
WRITES = re.compile(rb"^(PUT|POST|DELETE) ")


@pytest.fixture(scope="module")
def proxy(store):
    """Between both agents and the store."""
    made = Proxy(PROXY_PORT, STORE_PORT).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    """With a second agent."""
    made = Site(directory, module_logs, nfs, store)
    second = None
    try:
        made.start()
        second = Agent("second", directory, module_logs, made.control, port=SECOND_PORT)
        second.start()
        second.activate(made.datasync)
        made.agents = [made.agent, second]
        yield made
    finally:
        if second is not None:
            second.stop()
        made.stop()


class Job(NamedTuple):
    source: bytes
    bucket: str
    task: str
    since_ns: int


@pytest.fixture
def job(site, proxy):
    """A tree that takes a while, and a task that both agents may run."""
    since_ns = time.time_ns()
    source, bucket = site.source("failover"), site.bucket("failover")
    tree.big(source + b"/big", BIG)
    below = tree.directory(source + b"/small")
    for number in range(SMALL):
        tree.write(below + b"/%02d" % number, tree.noise(number, 256 * 1024))
    arns = [agent.arn for agent in site.agents]
    destination = site.store_location(bucket, ServerPort=proxy.port, AgentArns=arns)
    task = site.create_task(
        site.nfs_location(source, agents=arns), destination, {"BytesPerSecond": RATE}
    )
    site.wait_task(task, "AVAILABLE")
    yield Job(source, bucket, task, since_ns)
    proxy.heal()
    for agent in site.agents:
        if not agent.server.alive():
            agent.start()
        agent.wait_online(site.datasync)


def started(agent, execution):
    """The epochs in which `agent` has begun `execution`."""
    name = execution.rsplit("/", 1)[1]
    pattern = rf'starting an execution task_execution_id="{name}" epoch=(\d+)'
    return [int(epoch) for epoch in re.findall(pattern, agent.server.output())]


def roles(site, execution):
    """The agent that has the execution, and the other one."""
    first, second = site.agents
    return (first, second) if started(first, execution) else (second, first)


def set_rate(site, execution, rate):
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": rate}
    )


def launch(site, job):
    """An execution in the middle of its transfer, its agent, and the other one."""
    execution = site.launch(job.task)
    site.wait_execution(
        execution,
        until=lambda d: d["Status"] == "TRANSFERRING" and d["BytesTransferred"] >= 2 * MIB,
    )
    return execution, *roles(site, execution)


def wait_for_move(execution, other):
    wait_until("the other agent has it", lambda: started(other, execution) == [2], LIVENESS)


def executions_of(agent):
    return os.listdir(agent.state / "executions")


def assert_settled(site, job, execution, holder):
    """All is at the destination; who came back has forgotten what it had, and the next execution
    aborts what it began."""
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    holder.wait_online(site.datasync)
    wait_until("the first agent forgets it", lambda: executions_of(holder) == [], 30)
    Snapshot(job.source, since_ns=job.since_ns).assert_at(site.store.client, job.bucket)
    again = site.launch(job.task, {"BytesPerSecond": -1})
    assert site.wait_execution(again)["FilesTransferred"] == 0
    assert open_uploads(site.store.client, job.bucket) == []
    assert started(holder, again) == [1], "the first of the location's agents is back"


def test_an_execution_starts_with_one_of_the_agents_online(site, job):
    first, second = site.agents
    assert first.stop() == 0
    wait_until(
        "it is OFFLINE",
        lambda: site.datasync.describe_agent(AgentArn=first.arn)["Status"] == "OFFLINE",
        30,
    )
    execution = site.launch(job.task, {"BytesPerSecond": -1})
    assert site.wait_execution(execution)["Status"] == "SUCCESS"
    assert started(second, execution) == [1]


def test_the_agent_is_killed(site, job):
    execution, holder, other = launch(site, job)
    holder.kill()
    tree.write(job.source + b"/small/00", b"changed meanwhile")
    wait_for_move(execution, other)
    set_rate(site, execution, -1)
    site.wait_execution(execution, timeout=LIVENESS)
    holder.start()
    assert_settled(site, job, execution, holder)


def sockets(process):
    """Local ports of the TCP connections of a process."""
    inodes = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(found.group(1))
    ports = set()
    for line in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_a_stopped_agent_writes_nothing_after_it_wakes(site, job, proxy):
    execution, holder, other = launch(site, job)
    holder.server.signal(signal.SIGSTOP)
    owned = sockets(holder.server.pid)
    tree.write(job.source + b"/small/00", b"changed meanwhile")
    wait_for_move(execution, other)
    sent = []

    def watch(piece):
        if piece.is_upward:
            sent.append(piece)
        return piece.data

    proxy.fault = watch
    holder.server.signal(signal.SIGCONT)
    wait_until("it forgets the execution", lambda: executions_of(holder) == [], LIVENESS)
    theirs = sockets(other.server.pid)
    late = [piece for piece in sent if piece.source_port in owned]
    assert [(p.source_port, p.offset, len(p.data), p.data[:80]) for p in late] == []
    new = [p for p in sent if p.source_port not in theirs and WRITES.match(p.data)]
    assert [piece.data[:80] for piece in new] == []
    assert "not this agent's any more" in holder.server.output()
    set_rate(site, execution, -1)
    assert_settled(site, job, execution, holder)


def test_an_agent_that_is_back_in_time_goes_on(site, job):
    execution, holder, other = launch(site, job)
    holder.kill()
    time.sleep(FAILOVER_SECONDS / 4)
    holder.start()
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert started(other, execution) == []
    Snapshot(job.source, since_ns=job.since_ns).assert_at(site.store.client, job.bucket)
    assert open_uploads(site.store.client, job.bucket) == []


def test_control_is_away_and_nobody_writes(site, job):
    """Longer than a lease: the agent pauses. When control is back, one of the two finishes: agents
    look for control every 30 s at least, which is longer than a lease of this test."""
    execution, holder, other = launch(site, job)
    # So that it is not done before its lease ends, however fast the machine is.
    set_rate(site, execution, MIB)
    time.sleep(2)
    site.control.server.kill()
    holder.server.wait_for_line("pausing the execution", FAILOVER_SECONDS * 3)
    before = versions(site.store.client, job.bucket)
    time.sleep(2)
    assert versions(site.store.client, job.bucket) == before
    assert started(other, execution) == []
    site.control.start()
    set_rate(site, execution, -1)
    ended = site.wait_execution(execution, timeout=LIVENESS)
    assert ended["Status"] == "SUCCESS", shown(ended)
    Snapshot(job.source, since_ns=job.since_ns).assert_at(site.store.client, job.bucket)


def test_one_agent_that_reaches_the_locations_is_enough(site, nfs, store):
    """Neither can use what does not exist, and the task says so of both."""
    arns = [agent.arn for agent in site.agents]
    source = site.nfs_location(os.fsencode(nfs.open / "nowhere"), agents=arns)
    task = site.create_task(source, site.store_location(site.bucket("nowhere"), AgentArns=arns))
    described = site.wait_task(task, "UNAVAILABLE", timeout=LIVENESS)
    for arn in arns:
        assert f"agent {arn}: " in described["ErrorDetail"], described["ErrorDetail"]
