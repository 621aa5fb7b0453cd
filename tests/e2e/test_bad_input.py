"""Wrong input of every kind: a message that says what, where and what to do; nothing half-made."""

import json
import os
import time

import pytest
from botocore.exceptions import ClientError
from world import tree
from world.agent import Agent
from world.control import ACCOUNT, REGION, CliFailed, Control
from world.expected import Snapshot
from world.process import binary, run, wait_until
from world.secrets import assert_no_secrets
from world.site import ROLE, shown

MISSING_TASK = "arn:aws:datasync:us-east-1:123456789012:task/task-00000000000000000"


def refused(call, **arguments):
    """The message of an InvalidRequestException."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    assert answer["Code"] == "InvalidRequestException", answer
    assert "panic" not in answer["Message"], answer
    return answer["Message"]


@pytest.fixture(scope="module")
def source(site):
    path = site.source("bad-input")
    tree.write(path + b"/file", b"content")
    return path


@pytest.fixture(scope="module")
def bucket(site):
    return site.bucket("bad-input")


def test_nfs_port_that_nothing_listens_on(site, bucket, source):
    # The portmapper still knows MOUNT, which gives a handle of this export.
    location = site.nfs_location(source, host="127.0.0.1:2")
    task = site.create_task(location, site.store_location(bucket))
    described = site.wait_task(task, "UNAVAILABLE")
    assert described["ErrorCode"] == "SourceUnreachable", shown(described)
    assert "127.0.0.1" in described["ErrorDetail"], shown(described)
    assert "the way there ends at TCP: port 2: " in described["ErrorDetail"], shown(described)


def test_nfs_host_without_a_route(site, bucket):
    location = site.nfs_location(b"/export", host="192.0.2.1")
    task = site.create_task(location, site.store_location(bucket))
    described = site.wait_task(task, "UNAVAILABLE", timeout=120)
    assert described["ErrorCode"] == "SourceUnreachable", shown(described)
    assert "192.0.2.1" in described["ErrorDetail"], shown(described)
    assert described["ErrorDetail"].count("check") == 1, "one advice"


def test_nfs_host_name_that_does_not_resolve(site, bucket):
    location = site.nfs_location(b"/export", host="nas.invalid")
    task = site.create_task(location, site.store_location(bucket))
    described = site.wait_task(task, "UNAVAILABLE", timeout=120)
    assert described["ErrorCode"] == "SourceUnreachable", shown(described)
    assert "nas.invalid" in described["ErrorDetail"], shown(described)
    assert "the way there ends at DNS: " in described["ErrorDetail"], shown(described)
    assert described["ErrorDetail"].count("check") == 1, "one advice"


def test_export_that_does_not_exist(site, bucket):
    location = site.nfs_location(b"/no/such/export")
    task = site.create_task(location, site.store_location(bucket))
    described = site.wait_task(task, "UNAVAILABLE")
    # The server does not tell an unknown export from one that it refuses.
    codes = ("SourcePathNotFound", "SourcePermissionDenied")
    assert described["ErrorCode"] in codes, shown(described)
    assert "/no/such/export" in described["ErrorDetail"], shown(described)


def test_a_task_becomes_available_once_the_cause_is_gone(site, bucket):
    since_ns = time.time_ns()
    path = site.source("late")
    os.rmdir(path)
    task = site.create_task(site.nfs_location(path), site.store_location(bucket, "late/"))
    site.wait_task(task, "UNAVAILABLE")
    os.mkdir(path)

    def available():
        return site.datasync.describe_task(TaskArn=task)["Status"] == "AVAILABLE"

    wait_until("the task is probed again", available, 120, 0.5)
    site.run(task)
    Snapshot(path, "late/", since_ns=since_ns).assert_at(site.store.client, bucket)


def test_nfs_version_that_the_server_lacks(site, bucket, source):
    location = site.nfs_location(source, version="NFS4_1")
    task = site.create_task(location, site.store_location(bucket))
    described = site.wait_task(task, "UNAVAILABLE")
    assert described["ErrorCode"] == "NotSupported", shown(described)
    assert "PROG_MISMATCH" in described["ErrorDetail"], shown(described)


def test_bucket_that_does_not_exist(site, source):
    task = site.create_task(site.nfs_location(source), site.store_location("no-such-bucket"))
    described = site.wait_task(task, "UNAVAILABLE")
    assert described["ErrorCode"] == "BucketNotFound", shown(described)
    assert "no-such-bucket" in described["ErrorDetail"], shown(described)


def test_store_that_does_not_know_the_key(site, source, bucket):
    location = site.store_location(bucket, AccessKey="AKIANOBODY0000000000")
    described = site.wait_task(site.create_task(site.nfs_location(source), location), "UNAVAILABLE")
    assert described["ErrorCode"] == "DestinationPermissionDenied", shown(described)
    said = described["ErrorDetail"]
    assert f"s3://{bucket}" in said and site.store.endpoint in said, said
    assert "the credentials were not accepted" in said and "InvalidAccessKeyId" in said, said
    assert "check the key or role" in said, said


def test_store_that_nothing_listens_for(site, source, bucket):
    location = site.store_location(bucket, ServerPort=3)
    described = site.wait_task(site.create_task(site.nfs_location(source), location), "UNAVAILABLE")
    assert described["ErrorCode"] == "DestinationUnreachable", shown(described)
    assert "127.0.0.1:3" in described["ErrorDetail"], shown(described)
    assert "the way there ends at TCP: " in described["ErrorDetail"], shown(described)


def test_s3_location_with_a_bucket_that_does_not_exist_is_not_made(site, store):
    arguments = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    arguments += ["--endpoint", store.endpoint]
    site.control.cli(*arguments, text_in=store.secret_key + "\n")
    before = site.datasync.list_locations()["Locations"]
    message = refused(
        site.datasync.create_location_s3,
        S3BucketArn="arn:aws:s3:::no-such-bucket",
        S3Config={"BucketAccessRoleArn": ROLE},
    )
    assert "access test failed" in message and "no-such-bucket" in message, message
    assert site.datasync.list_locations()["Locations"] == before


def test_s3_location_with_a_role_that_control_does_not_know(site):
    role = "arn:aws:iam::123456789012:role/nobody"
    message = refused(
        site.datasync.create_location_s3,
        S3BucketArn="arn:aws:s3:::bucket",
        S3Config={"BucketAccessRoleArn": role},
    )
    assert role in message, message


def test_arns_that_are_none(site):
    """Named are the parameter, what was given, and what an ARN of that kind looks like."""
    account = "arn:aws:datasync:us-east-1:123456789012"
    of_another_service = MISSING_TASK.replace("datasync", "s3")
    for operation, parameter, given, looks_like in (
        ("describe_task", "TaskArn", "task-1", "task/task-"),
        ("describe_task", "TaskArn", of_another_service, "task/task-"),
        ("describe_agent", "AgentArn", f"{account}:agent/x", "agent/agent-"),
        ("start_task_execution", "TaskArn", MISSING_TASK.upper(), "task/task-"),
        ("delete_location", "LocationArn", "\n", "location/loc-"),
    ):
        message = refused(getattr(site.datasync, operation), **{parameter: given})
        said = f"{operation}: {message}"
        assert f"Invalid parameter: {parameter} {json.dumps(given)} must match ^arn:" in message, said
        assert f":{looks_like}" in message, said


def test_resources_that_do_not_exist(site):
    account = "arn:aws:datasync:us-east-1:123456789012"
    zeros = "0" * 17
    for operation, arguments, text in (
        ("describe_task", {"TaskArn": MISSING_TASK}, "not found"),
        ("start_task_execution", {"TaskArn": MISSING_TASK}, "not found"),
        ("describe_location_nfs", {"LocationArn": f"{account}:location/loc-{zeros}"}, "not found"),
        ("describe_agent", {"AgentArn": f"{account}:agent/agent-{zeros}"}, "does not exist"),
        (
            "describe_task_execution",
            {"TaskExecutionArn": f"{MISSING_TASK}/execution/exec-{zeros}"},
            "not found",
        ),
    ):
        message = refused(getattr(site.datasync, operation), **arguments)
        assert text in message, f"{operation}: {message}"


def test_task_on_a_deleted_location(site, source, bucket):
    location = site.nfs_location(source)
    destination = site.store_location(bucket)
    site.datasync.delete_location(LocationArn=location)
    before = len(site.datasync.list_tasks()["Tasks"])
    message = refused(
        site.datasync.create_task,
        SourceLocationArn=location,
        DestinationLocationArn=destination,
    )
    assert "not found" in message and location in message, message
    assert len(site.datasync.list_tasks()["Tasks"]) == before


def test_a_location_in_use_is_not_deleted(site, source, bucket):
    location = site.nfs_location(source)
    site.create_task(location, site.store_location(bucket))
    message = refused(site.datasync.delete_location, LocationArn=location)
    assert "in-use" in message or "in use" in message, message


def test_options_that_contradict_each_other(site, source, bucket):
    locations = {
        "SourceLocationArn": site.nfs_location(source),
        "DestinationLocationArn": site.store_location(bucket),
    }
    options = {"TransferMode": "ALL", "PreserveDeletedFiles": "REMOVE"}
    message = refused(site.datasync.create_task, Options=options, **locations)
    assert "TransferMode,PreserveDeletedFiles, Value: ALL,REMOVE" in message, message
    options = {"Atime": "BEST_EFFORT", "Mtime": "NONE"}
    message = refused(site.datasync.create_task, Options=options, **locations)
    assert "Atime" in message and "Mtime" in message, message


def failing(command, text):
    """Runs a command that must refuse its configuration; answers what it said."""
    answer = run(command, timeout=20, env={"PATH": os.environ["PATH"]})
    assert answer.returncode == 64, answer
    said = answer.stderr + answer.stdout
    for part in text:
        assert part in said, said
    assert "panicked" not in said
    return said


@pytest.mark.parametrize("program", ["datasync-agent", "datasync-control"])
def test_every_fault_of_a_configuration_is_named_at_once(tmp_path, program):
    configuration = tmp_path / "bad.toml"
    if program == "datasync-agent":
        lines = ['control = "no port"', 'memory_target = "much"', "surprise = 1"]
        words, verb = ("control", "memory_target", "surprise"), "run"
    else:
        lines = ['api_listen = "nowhere"', 'offline_after_seconds = "soon"', "surprise = 1"]
        words, verb = ("api_listen", "offline_after_seconds", "surprise"), "serve"
    configuration.write_text("\n".join(lines) + "\n")
    failing([binary(program), verb, "--config", configuration], [*words, "bad.toml"])


@pytest.mark.parametrize(
    ("program", "verb"), [("datasync-agent", "run"), ("datasync-control", "serve")]
)
def test_bad_flags_and_files(tmp_path, program, verb):
    failing([binary(program), verb, "--no-such-flag"], ["--no-such-flag"])
    failing([binary(program), "no-such-command"], ["no-such-command"])
    failing([binary(program), verb, "--config", tmp_path / "absent.toml"], ["absent.toml"])
    (tmp_path / "broken.toml").write_text("state_dir = \n")
    failing([binary(program), verb, "--config", tmp_path / "broken.toml"], ["broken.toml"])


def small_disk(path, size):
    """A file system of its own at `path`."""
    path.mkdir(parents=True)
    assert run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]).returncode == 0
    return path


def filled(path):
    """Leaves no room on the file system at `path`; answers the file that takes it."""
    ballast = path / "ballast"
    with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_control_on_a_full_disk_says_so_and_starts_once_there_is_room(site):
    control = Control(site.directory / "full-control", site.logs, 8543, 9543)
    path = small_disk(control.state, "4m")
    ballast = filled(path)
    try:
        control.server.start()
        assert control.server.wait_for_end(20) == 1
        said = control.server.output()
        assert str(path) in said and "free space" in said, said
        with pytest.raises(CliFailed, match="free space"):
            control.create_access_key()
        ballast.unlink()
        control.start()
        assert control.boto().list_tasks()["Tasks"] == []
    finally:
        control.server.kill()
        run(["umount", path])


def test_control_on_a_read_only_disk_says_so(site):
    control = Control(site.directory / "read-only-control", site.logs, 8543, 9543)
    path = small_disk(control.state, "4m")
    assert run(["mount", "-o", "remount,ro", path]).returncode == 0
    try:
        control.server.start()
        assert control.server.wait_for_end(20) == 1
        said = control.server.output()
        assert str(path) in said and "that can be written" in said, said
    finally:
        control.server.kill()
        run(["umount", path])


def test_control_whose_disk_fills_up_says_so_and_goes_on_once_there_is_room(site):
    control = Control(site.directory / "filling-control", site.logs, 8543, 9543)
    path = small_disk(control.state, "4m")
    try:
        control.start()
        datasync = control.boto()

        def arn(service, resource):
            return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}-01234567"

        def create():
            network = {
                "SubnetArn": arn("ec2", "subnet/subnet"),
                "SecurityGroupArns": [arn("ec2", "security-group/sg")],
            }
            return datasync.create_location_efs(
                EfsFilesystemArn=arn("elasticfilesystem", "file-system/fs"), Ec2Config=network
            )["LocationArn"]

        made = [create()]
        ballast = filled(path)
        with pytest.raises(ClientError) as error:
            while len(made) < 1000:
                made.append(create())
        answer = error.value.response
        assert answer["Error"]["Code"] == "InternalException", answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500, answer
        said = control.server.output()
        assert f"the store {path}" in said and "free space" in said, said
        ballast.unlink()
        made.append(create())
        pages = datasync.get_paginator("list_locations").paginate()
        listed = [location["LocationArn"] for page in pages for location in page["Locations"]]
        assert sorted(listed) == sorted(made)
    finally:
        control.server.kill()
        run(["umount", path])


def test_an_agent_on_a_full_disk_says_so(site):
    path = small_disk(site.directory / "full", "64k")
    filled(path)
    agent = Agent("full", site.directory, site.logs, site.control, port=8085)
    agent.settings["state_dir"] = path / "agent"
    agent.write()
    agent.start()
    try:
        assert agent.server.wait_for_end(20) == 1
        said = agent.server.output()
        assert str(path) in said and "space" in said.lower(), said
    finally:
        agent.kill()
        run(["umount", path])


def test_an_agent_whose_disk_fills_up_during_an_execution(site, bucket):
    """No work without a journal: the execution ends in an error that names the disk, or waits."""
    path = small_disk(site.directory / "filling", "128m")
    agent = Agent("filling", site.directory, site.logs, site.control, port=8086)
    agent.settings["state_dir"] = path / "agent"
    agent.write()
    agent.start()
    try:
        arn = agent.activate(site.datasync)
        since_ns = time.time_ns()
        source = site.source("filling")
        tree.many(source, 200)
        location = site.nfs_location(source, agents=[arn])
        to_store = site.store_location(bucket, "filling/", AgentArns=[arn])
        task = site.create_task(location, to_store)
        site.wait_task(task, "AVAILABLE")
        ballast = filled(path)
        execution = site.launch(task)
        agent.server.wait_for_line("(?i)space", 60)
        assert agent.server.alive()
        ballast.unlink()
        ended = site.wait_execution(execution, timeout=90)
        snapshot = Snapshot(source, "filling/", since_ns=since_ns)
        if ended["Status"] == "SUCCESS":
            snapshot.assert_at(site.store.client, bucket)
        else:
            assert ended["Result"]["ErrorCode"] == "LocalStateFault", shown(ended)
        agent.kill()
        assert_no_secrets(path)
    finally:
        agent.kill()
        run(["umount", path])


def test_two_agents_on_one_state_directory(site):
    twin = Agent("twin", site.directory, site.logs, site.control, port=8087)
    twin.settings["state_dir"] = site.agent.state
    twin.write()
    twin.start()
    assert twin.server.wait_for_end(20) == 1
    assert "another agent" in twin.server.output()
