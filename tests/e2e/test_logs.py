"""Logs of executions: in control's store, and in CloudWatch Logs where the task names a group."""

import json
import os
import re

import pytest
from world import tree
from world.cloudwatch import CloudWatch
from world.control import ACCOUNT, REGION, CliFailed, Control
from world.process import wait_until
from world.secrets import remember
from world.site import ROLE, Site

LOGS_ROLE = f"arn:aws:iam::{ACCOUNT}:role/logs"
KEY, SECRET = "AKIALOGSLOGSLOGSLOGS", "Logs/Secret+0123456789abcdef0123456789ab"
GROUP, ABSENT = "/aws/datasync", "/not/there"
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (.*)")


def arn(group):
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"


@pytest.fixture(scope="module")
def cloudwatch():
    running = CloudWatch(KEY, remember("the key for logs", SECRET), [GROUP])
    yield running
    running.close()
    assert not running.wrong, running.wrong


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store, cloudwatch):
    control = Control(
        directory, module_logs, roles=[ROLE, LOGS_ROLE],
        cloudwatch_endpoint=cloudwatch.endpoint, cloudwatch_role_arn=LOGS_ROLE,
    )
    made = Site(directory, module_logs, nfs, store, controls=[control])
    try:
        made.start()
        control.cli("role", "set-key", LOGS_ROLE, "--access-key-id", KEY, text_in=SECRET + "\n")
        yield made
    finally:
        made.stop()


def lines(site, execution):
    printed = site.control.cli("logs", execution)
    return [LINE.fullmatch(line).group(1) for line in printed.splitlines()]


def complete(site, execution):
    """The lines once the last one is there."""

    def ended():
        found = lines(site, execution)
        return found if found and "finished with status" in found[-1] else None

    return wait_until("the log is complete", ended, 60)


def stream(execution):
    return "-".join(execution.split("/")[1::2])


@pytest.fixture
def source(site):
    path = site.source("logs")
    tree.write(path + b"/one", b"1")
    tree.write(tree.directory(path + b"/d") + b"/two\nlines", b"22")
    os.mkfifo(path + b"/fifo")
    return path


def test_every_item_is_in_the_log_and_at_cloudwatch(site, source, cloudwatch):
    cloudwatch.throttled = 2
    options = {"LogLevel": "TRANSFER", "VerifyMode": "ONLY_FILES_TRANSFERRED"}
    task = site.task(source, site.bucket("logs"), options=options, CloudWatchLogGroupArn=arn(GROUP))
    execution = site.run(task)["TaskExecutionArn"]
    found = complete(site, execution)
    assert found[0].startswith("[INFO] Execution exec-")
    for expected in (
        "[INFO] Transferred file /one, 1 bytes",
        "[INFO] Verified file /one, 1 bytes",
        "[INFO] Transferred file /d/two\\nlines, 2 bytes",
    ):
        assert found.count(expected) == 1, found
    assert any(line.startswith("[NOTICE] Skipped file /fifo: ") for line in found)
    assert "finished with status Success: " in found[-1]
    told = wait_until(
        "all is at CloudWatch",
        lambda: (m := cloudwatch.messages(GROUP, stream(execution))) and len(m) == len(found) and m,
        60,
    )
    assert sorted(told) == sorted(found)
    document = [json.loads(l) for l in site.control.cli("logs", execution, "--json").splitlines()]
    assert [entry["severity"] for entry in document].count("NOTICE") == 1
    again = site.run(task)["TaskExecutionArn"]
    assert len(complete(site, again)) == 3, "nothing was transferred: begin, fifo and end"


def test_basic_tells_errors_alone_and_enhanced_is_json(site):
    path = site.source("logs", squashed=True)
    tree.write(path + b"/one", b"x")
    tree.write(path + b"/denied", b"x", mode=0)
    task = site.task(path, site.bucket("logs"), options={"LogLevel": "BASIC"})
    execution = site.run(task, status="ERROR")["TaskExecutionArn"]
    found = complete(site, execution)
    assert [line for line in found if "/one" in line] == []
    failed = [line for line in found if line.startswith("[ERROR] Failed to transfer file /denied: ")]
    assert len(failed) == 1, found
    assert found[-1].startswith("[ERROR] Execution exec-"), found
    options = {"LogLevel": "TRANSFER", "VerifyMode": "ONLY_FILES_TRANSFERRED"}
    source = site.source("enhanced")
    tree.write(source + b"/one", b"1")
    task = site.task(source, site.bucket("logs"), options=options, TaskMode="ENHANCED")
    execution = site.run(task)["TaskExecutionArn"]
    end = wait_until(
        "the end", lambda: [l for l in lines(site, execution) if '"Action":"END"' in l], 60
    )
    assert json.loads(end[0])["Status"] == "SUCCESS"
    events = [json.loads(line) for line in lines(site, execution)]
    one = [e for e in events if e["Action"] == "TRANSFER" and e["Source"]["RelativePath"] == "/one"]
    assert len(one) == 1 and one[0]["TransferType"] == "CONTENT_AND_METADATA"


def test_off_has_no_log_and_what_is_unknown_is_refused(site, source):
    task = site.task(source, site.bucket("logs"))
    execution = site.run(task)["TaskExecutionArn"]
    assert lines(site, execution) == []
    with pytest.raises(CliFailed) as caught:
        site.control.cli("logs", execution[:-4] + "0000")
    assert "there is no execution" in str(caught.value)
    with pytest.raises(CliFailed):
        site.control.cli("logs", "nonsense")


def test_a_group_that_is_missing_fails_nothing_and_is_told(site, source, cloudwatch):
    options = {"LogLevel": "TRANSFER"}
    missing = arn(ABSENT)
    task = site.task(source, site.bucket("logs"), options=options, CloudWatchLogGroupArn=missing)
    execution = site.run(task)["TaskExecutionArn"]
    found = complete(site, execution)
    told = "a log cannot be sent to CloudWatch Logs and is kept: CreateLogStream answers Resource"
    wait_until("it is told", lambda: told in site.control.server.output(), 60)
    cloudwatch.groups.add(ABSENT)
    arrived = wait_until(
        "it gets there", lambda: cloudwatch.messages(ABSENT, stream(execution)), 60
    )
    assert sorted(arrived) == sorted(found)
    assert site.control.server.output().count(told) == 1


def test_lines_survive_restarts_of_both_and_come_once(site):
    path = site.source("restarts")
    for number in range(300):
        tree.write(path + f"/{number:03}".encode(), b"x" * 4000)
    options = {"LogLevel": "TRANSFER", "VerifyMode": "ONLY_FILES_TRANSFERRED",
               "BytesPerSecond": 200_000}
    task = site.task(path, site.bucket("restarts"), options=options)
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["FilesTransferred"] > 50)
    site.control.server.kill()
    site.agent.stop()
    site.control.server.start()
    site.control.server.wait_for_port(site.control.api_port)
    site.agent.start()
    site.datasync.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": -1})
    site.wait_execution(execution)
    found = complete(site, execution)
    moved = [line for line in found if line.startswith("[INFO] Transferred file /")]
    assert len(moved) == len(set(moved)) == 300
