"""Every call of the API leaves one line: who, from where, what, on what, with what result."""

import json
import stat
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from conftest import Checked, World


def lines(control, name="audit.jsonl"):
    return [json.loads(line) for line in (control.state / name).read_text().splitlines()]


def test_calls_and_refusals_are_written_without_secrets(own_control):
    api = Checked(own_control.client())
    agent = World(own_control, api).agent(AgentName="one")
    key = own_control.activation_key()
    with pytest.raises(ClientError):
        api.create_agent(ActivationKey=key, AgentName="a&b")
    store = {"ServerHostname": "s3.example", "BucketName": "bucket"}
    location = api.create_location_object_storage(
        **store, AccessKey="AKIACANARY", SecretKey="CANARY-secret")["LocationArn"]
    api.describe_agent(AgentArn=agent)
    api.list_agents()
    missing = agent[:-4] + "0000"
    with pytest.raises(ClientError) as caught:
        api.describe_agent(AgentArn=missing)
    request_id = caught.value.response["ResponseMetadata"]["RequestId"]
    found = lines(own_control)
    known = own_control.key
    assert all(line["accessKeyId"] == known["AccessKeyId"] for line in found)
    assert all(line["sourceAddress"] == "127.0.0.1" and line["authenticated"] for line in found)
    assert all(uuid.UUID(line["requestId"]) for line in found)
    told = [(line["operation"], line["resources"], line["result"], line["status"])
            for line in found]
    assert told == [
        ("CreateAgent", [agent], "ok", 200),
        ("CreateAgent", [], "InvalidRequestException", 400),
        ("CreateLocationObjectStorage", [location], "ok", 200),
        ("DescribeAgent", [agent], "ok", 200),
        ("ListAgents", [], "ok", 200),
        ("DescribeAgent", [missing], "InvalidRequestException", 400),
    ]
    assert found[-1]["requestId"] == request_id
    text = (own_control.state / "audit.jsonl").read_text() + own_control.log.read_text()
    for secret in (key, "CANARY", known["SecretAccessKey"]):
        assert secret not in text
    mode = (own_control.state / "audit.jsonl").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_keys_have_names_and_strangers_have_none(own_control):
    reader = json.loads(own_control.command("access-key", "create", "--name", "auditor",
                                            "--read-only"))
    api = own_control.client(reader["AccessKeyId"], reader["SecretAccessKey"])
    with pytest.raises(ClientError):
        api.create_agent(ActivationKey=own_control.activation_key())
    with pytest.raises(ClientError):
        own_control.client(secret="wrong").list_tasks()
    with pytest.raises(ClientError):
        boto3.client("datasync", endpoint_url=own_control.endpoint, region_name="us-east-1",
                     aws_access_key_id="AKIASTRANGER", aws_secret_access_key="x",
                     config=Config(retries={"max_attempts": 0})).list_tasks()
    denied, forged, stranger = lines(own_control)
    assert denied["keyName"] == "auditor" and denied["result"] == "AccessDeniedException"
    assert forged["accessKeyId"] == own_control.key["AccessKeyId"]
    assert not forged["authenticated"] and forged["result"] == "InvalidSignatureException"
    assert stranger["accessKeyId"] == "AKIASTRANGER" and stranger["status"] >= 400


def test_answered_calls_are_in_the_log_after_a_kill(own_control):
    api = own_control.client()
    for _ in range(50):
        api.list_tasks()
    own_control.kill()
    with (own_control.state / "audit.jsonl").open("a") as log:
        log.write('{"time":"cut o')
    own_control.start()
    own_control.client().list_tasks()
    assert [line["operation"] for line in lines(own_control)] == ["ListTasks"] * 51


def test_a_log_that_cannot_be_written_stops_no_call_and_is_told_once(own_control):
    own_control.stop()
    with own_control.config.open("a") as config:
        config.write('audit_file = "/dev/full"\n')
    own_control.start()
    api = own_control.client()
    for _ in range(5):
        api.list_tasks()
    assert own_control.log.read_text().count("the audit log cannot be written") == 1
