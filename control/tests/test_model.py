"""Every operation of botocore's model, with minimal, full and broken input.

docs/api.md says which operations and members are refused; what it says is what these tests expect.
"""

import datetime
import http.client
import json
import pathlib
import re

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from model_walk import allowed, broken, example, misfits

MODEL = botocore.session.get_session().get_service_model("datasync")
OPERATIONS = MODEL.operation_names
INVALID = MODEL.shape_for("InvalidRequestException")
TABLE = pathlib.Path(__file__).parents[2] / "docs" / "api.md"


def documented():
    """The rows of the table: operation to whether it works and which members it refuses."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4 and cells[1] in ("works", "refused"):
            refused = re.findall(r"`(\w+)`", cells[3]) if cells[1] == "works" else []
            rows[cells[0].strip("`")] = (cells[1] == "works", refused)
    return rows


DOCUMENTED = documented()


class Raw:
    """Signs and sends what boto3 would refuse to send."""

    def __init__(self, control):
        self.control = control
        self.key = Credentials(control.key["AccessKeyId"], control.key["SecretAccessKey"])
        self.connection = http.client.HTTPConnection(control.address, timeout=60)

    def __call__(self, operation, members):
        body = json.dumps(members).encode()
        request = AWSRequest("POST", self.control.endpoint + "/", data=body, headers={
            "X-Amz-Target": f"FmrsService.{operation}",
            "Content-Type": "application/x-amz-json-1.1"})
        SigV4Auth(self.key, "datasync", "us-east-1").add_auth(request)
        self.connection.request("POST", "/", body, dict(request.headers.items()))
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def raw(control):
    client = Raw(control)
    yield client
    client.connection.close()


def input_of(operation):
    return MODEL.operation_model(operation).input_shape


def with_real_names(operation, members, world, control):
    """The same input about resources that exist, so that it can succeed."""
    members = dict(members)
    kind = re.sub("^(Create|Describe|Update|Delete)Location", "", operation)
    if "ActivationKey" in members:
        members["ActivationKey"] = control.activation_key()
    if "AgentArn" in members:
        members["AgentArn"] = world.agent()
    if "AgentArns" in members:
        members["AgentArns"] = [world.agent()]
    if "OnPremConfig" in members:
        members["OnPremConfig"] = {"AgentArns": [world.agent()]}
    if "LocationArn" in members:
        make = {"S3": world.s3, "ObjectStorage": world.store, "Efs": world.efs}
        members["LocationArn"] = make.get(kind, world.nfs)()
    if operation == "CreateTask":
        members["SourceLocationArn"] = world.nfs()
        members["DestinationLocationArn"] = world.s3()
    if "TaskArn" in members:
        members["TaskArn"] = world.task()
    if "ResourceArn" in members:
        members["ResourceArn"] = world.task()
    if "TaskExecutionArn" in members:
        members["TaskExecutionArn"] = world.start(world.task())
    if operation == "UpdateTaskExecution":
        # The other options are for tasks only.
        members["Options"] = {"BytesPerSecond": 1024}
    return members


def call(raw, control, operation, members):
    """Calls, and tries again what the fleet changes beside the test."""
    def available(record):
        record["readiness"] = {"status": "AVAILABLE"}

    for attempt in range(10):
        if operation == "StartTaskExecution":
            control.edit("task", members["TaskArn"], available)
        status, answer = raw(operation, members)
        if status == 200 or "UNAVAILABLE" not in answer["message"] or attempt == 9:
            return status, answer


def check_success(operation, status, answer):
    assert status == 200, (operation, answer)
    shape = MODEL.operation_model(operation).output_shape
    assert not list(misfits(shape, answer)), operation


def check_refusal(operation, status, answer, code="InvalidParameter"):
    assert (status, answer.get("__type")) == (400, "InvalidRequestException"), (operation, answer)
    members = {name: value for name, value in answer.items() if name != "__type"}
    assert not list(misfits(INVALID, members)), answer
    assert members["message"] and members["errorCode"] == members["datasyncErrorCode"] == code


def test_options_under_the_name_of_another_operation_are_passed_over(raw, control, world):
    names = {"SourceLocationArn": world.nfs(), "DestinationLocationArn": world.s3()}
    remove = {"PreserveDeletedFiles": "REMOVE"}
    _, created = raw("CreateTask", names | {"OverrideOptions": remove})
    task = {"TaskArn": created["TaskArn"]}
    assert raw("DescribeTask", task)[1]["Options"]["PreserveDeletedFiles"] == "PRESERVE"
    _, started = call(raw, control, "StartTaskExecution", task | {"Options": remove})
    _, execution = raw("DescribeTaskExecution", started)
    assert execution["Options"]["PreserveDeletedFiles"] == "PRESERVE"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_minimal_input(raw, control, world, operation):
    works, _ = DOCUMENTED[operation]
    members = with_real_names(operation, example(input_of(operation), full=False), world, control)
    status, answer = call(raw, control, operation, members)
    if works:
        check_success(operation, status, answer)
    elif operation.startswith("Create"):
        check_refusal(operation, status, answer, "UnsupportedOperation")
        assert "not supported in this release" in answer["message"]
    else:
        check_refusal(operation, status, answer)
        assert "Invalid Location type" in answer["message"]


def compatible(whole):
    """As much of the input at a time as may be given together: filters do not go with a manifest."""
    filters = {"Includes", "Excludes"}
    if "ManifestConfig" in whole and filters & set(whole):
        yield {name: value for name, value in whole.items() if name != "ManifestConfig"}
        yield {name: value for name, value in whole.items() if name not in filters}
    else:
        yield whole


@pytest.mark.parametrize("operation", OPERATIONS)
def test_full_input(raw, control, world, operation):
    works, refused = DOCUMENTED[operation]
    whole = example(input_of(operation))
    assert set(refused) <= set(whole), "docs/api.md names members that do not exist"
    whole = {name: value for name, value in whole.items() if name not in refused}
    for members in compatible(whole):
        members = with_real_names(operation, members, world, control)
        status, answer = call(raw, control, operation, members)
        if works:
            check_success(operation, status, answer)
        else:
            code = "UnsupportedOperation" if operation.startswith("Create") else "InvalidParameter"
            check_refusal(operation, status, answer, code)


REFUSED = [(name, member) for name, (_, members) in DOCUMENTED.items() for member in members]


@pytest.mark.parametrize("operation,member", REFUSED)
def test_members_that_are_not_supported_are_refused(raw, control, world, operation, member):
    shape = input_of(operation)
    members = with_real_names(operation, example(shape, full=False), world, control)
    members[member] = example(shape)[member]
    status, answer = call(raw, control, operation, members)
    check_refusal(operation, status, answer, "UnsupportedOperation")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_broken_input(raw, operation):
    tried = 0
    for path, is_wrong_type, members in broken(input_of(operation)):
        tried += 1
        status, answer = raw(operation, members)
        where = (operation, path, members, answer)
        if is_wrong_type:
            assert (status, answer.get("__type")) == (400, "SerializationException"), where
        else:
            assert (status, answer.get("__type")) == (400, "InvalidRequestException"), where
            check_refusal(operation, status, answer)
        name = "member" if path[-1] == 0 else path[-1]
        assert name in answer["message"], where
        assert len(answer["message"]) < 5000, where
    assert tried or not input_of(operation).members


# A refusal by the model.
BY_THE_MODEL = re.compile(r'^Invalid parameter: (\S+) ".*" must ', flags=re.DOTALL)
# What the model allows and no server has: operations refuse it by themselves.
NO_PORT = 65_536


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_model_allows_is_not_refused_by_the_model(raw, operation):
    for path, members in allowed(input_of(operation)):
        status, answer = raw(operation, members)
        assert status in (200, 400), (path, answer)
        if status == 200 or members.get("ServerPort") == NO_PORT:
            continue
        where = (operation, path, answer)
        assert answer["__type"] == "InvalidRequestException", where
        assert not BY_THE_MODEL.search(answer["message"]), where


def test_secrets_are_not_repeated(raw):
    canary = "CANARY" * 100
    for operation in OPERATIONS:
        shape = input_of(operation)
        for name, member in shape.members.items():
            if member.metadata.get("sensitive") or name == "ActivationKey":
                _, answer = raw(operation, {**example(shape), name: canary})
                assert "CANARY" not in json.dumps(answer), (operation, name)


def test_members_that_the_model_does_not_have_are_passed_over(raw):
    assert raw("ListTasks", {"Color": {"Deep": [1]}, "color": None})[0] == 200


def test_the_table_names_every_operation_once():
    names = re.findall(r"^\| `(\w+)` \|", TABLE.read_text(), flags=re.MULTILINE)
    assert sorted(DOCUMENTED) == sorted(OPERATIONS)
    assert [name for name in names if name in OPERATIONS] == sorted(OPERATIONS)


def test_what_is_shown_is_in_the_model(raw, control, world):
    """Lists with entries of every kind, and an execution that has ended."""
    task = world.task(Name="shown", TaskMode="ENHANCED")
    execution = world.start(task)
    world.store()
    world.efs()
    for operation in OPERATIONS:
        if operation.startswith("List") and operation != "ListTagsForResource":
            check_success(operation, *raw(operation, {}))
    raw("CancelTaskExecution", {"TaskExecutionArn": execution})
    status, answer = raw("DescribeTaskExecution", {"TaskExecutionArn": execution})
    check_success("DescribeTaskExecution", status, answer)
    assert answer["EndTime"] >= answer["StartTime"]
    age = datetime.datetime.now(datetime.timezone.utc).timestamp() - answer["StartTime"]
    assert -60 < age < 3600
