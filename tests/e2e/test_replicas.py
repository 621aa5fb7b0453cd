"""Two replicas of control on one database: one dies, nothing is lost, nothing happens twice."""

import os
import re
import tempfile
import time

import pytest
from world import tree
from world.control import AGENT_PORT, API_PORT, Control
from world.expected import Snapshot
from world.postgres import Postgres
from world.process import wait_until
from world.site import ROLE, Site, shown

MIB = 1024 * 1024
RATE = 4 * MIB


@pytest.fixture(scope="module")
def database(module_logs):
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        server = Postgres(directory, module_logs).start()
        yield server.new_database()
        server.stop()


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, database):
    """Two controls with a state directory each, given the sealing key; an agent that knows both."""
    key = directory / "sealing.key"
    key.write_bytes(os.urandom(32))
    controls = [
        Control(
            directory / name, module_logs, API_PORT + number, AGENT_PORT + number, roles=[ROLE],
            name=name, database_url=database, sealing_key_file=key,
        )
        for number, name in enumerate(("first", "second"))
    ]
    made = Site(directory, module_logs, nfs, store, controls)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def held_by(site):
    """The control that the agent is connected to, and the other one."""
    opened = re.findall(r"session with control is open.*:(\d+)\b", site.agent.server.output())
    first, second = site.controls
    return (first, second) if int(opened[-1]) == first.agent_port else (second, first)


def slow(site, name):
    """A tree of a quarter of a minute at RATE, its bucket, its task, the time before it."""
    since_ns = time.time_ns()
    source, bucket = site.source(name), site.bucket(name)
    tree.big(source + b"/big", 60 * MIB)
    for number in range(20):
        tree.write(source + b"/%02d" % number, tree.noise(number, 100_000))
    return source, bucket, site.task(source, bucket, options={"BytesPerSecond": RATE}), since_ns


def listed(control, task):
    return control.aws("list-task-executions", "--task-arn", task)["TaskExecutions"]


def test_both_are_one(site):
    first, second = site.controls
    assert first.fingerprint == second.fingerprint
    task = site.task(site.source("one"), site.bucket("one"))
    described = second.aws("describe-task", "--task-arn", task)
    assert described["Status"] == "AVAILABLE"
    agent = second.aws("describe-agent", "--agent-arn", site.agent.arn)
    assert agent["Status"] == "ONLINE"
    started = second.aws("start-task-execution", "--task-arn", task)["TaskExecutionArn"]
    assert site.wait_execution(started)["Status"] == "SUCCESS"


@pytest.mark.parametrize("turn", [1, 2])
def test_one_is_killed_in_the_middle_of_an_execution(site, turn):
    source, bucket, task, since_ns = slow(site, f"killed-{turn}")
    holder, other = held_by(site)
    acknowledged = holder.aws("start-task-execution", "--task-arn", task)["TaskExecutionArn"]
    queued = holder.aws(
        "start-task-execution", "--task-arn", task, "--includes", "FilterType=SIMPLE_PATTERN,Value=/00"
    )["TaskExecutionArn"]
    site.datasync = other.boto()
    site.wait_execution(
        acknowledged, until=lambda d: d["Status"] == "TRANSFERRING" and d["BytesTransferred"] > 0
    )
    holder.server.kill()
    assert {entry["TaskExecutionArn"] for entry in listed(other, task)} == {acknowledged, queued}
    wait_until("the agent has come over", lambda: held_by(site)[0] is other, 30)
    site.agent.wait_online(site.datasync)
    other.aws("update-task-execution", "--task-execution-arn", acknowledged,
              "--options", "BytesPerSecond=-1")
    for execution in (acknowledged, queued):
        ended = site.wait_execution(execution)
        assert ended["Status"] == "SUCCESS", shown(ended)
    assert len(listed(other, task)) == 2
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)
    # Begun once, and gone through in one go.
    name = acknowledged.rsplit("/", 1)[1]
    assert site.agent.server.output().count(f'starting an execution task_execution_id="{name}"') == 1
    holder.start()
    again = site.launch(task)
    assert site.wait_execution(again)["Status"] == "SUCCESS"
    assert listed(holder, task) == listed(other, task)
