"""What happens before an operation: signatures, sizes, forms."""

import datetime
import http.client
import json
import os
import subprocess
import uuid

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ABSENT = "arn:aws:datasync:us-east-1:123456789012:task/task-00000000000000000"


def sign(control, body, target, headers=(), method="POST", path="/"):
    request = AWSRequest(method, control.endpoint + path, data=body, headers={
        "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", **dict(headers)})
    key = Credentials(control.key["AccessKeyId"], control.key["SecretAccessKey"])
    SigV4Auth(key, "datasync", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def send(control, body, target="FmrsService.ListTasks", headers=(), is_signed=True, method="POST",
         path="/"):
    if is_signed:
        headers = sign(control, body, target, headers, method, path)
    else:
        headers = {"X-Amz-Target": target, **dict(headers)}
    return exchange(control, body, headers, method, path)


def exchange(control, body, headers, method="POST", path="/"):
    connection = http.client.HTTPConnection(control.address, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        assert answer.getheader("x-amzn-requestid")
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_wrong_secret(control, refused):
    client = control.client(secret="wrong")
    refused(client.list_tasks, "InvalidSignatureException", "does not match")


def test_unknown_and_disabled_keys(control, refused):
    client = control.client(key="AKIAUNKNOWN")
    refused(client.list_tasks, "UnrecognizedClientException", "invalid")
    key = json.loads(control.command("access-key", "create"))
    client = control.client(key["AccessKeyId"], key["SecretAccessKey"])
    client.list_tasks()
    control.command("access-key", "disable", key["AccessKeyId"])
    refused(client.list_tasks, "UnrecognizedClientException", "invalid")


def test_unsigned_headers(control, monkeypatch):
    blacklist = [*botocore.auth.SIGNED_HEADERS_BLACKLIST]
    for name, accepted in [
        ("x-amz-user-agent", True), ("x-amz-extra", False), ("x-amz-target", False),
    ]:
        monkeypatch.setattr(botocore.auth, "SIGNED_HEADERS_BLACKLIST", [*blacklist, name])
        extra = {} if name == "x-amz-target" else {name: "value"}
        status, answer = send(control, b"{}", headers=extra)
        assert status == (200 if accepted else 400), (name, answer)
        assert accepted or answer["__type"] == "InvalidSignatureException"


def test_other_region(control, refused):
    client = control.client(region="eu-west-1")
    refused(client.list_tasks, "InvalidSignatureException", "eu-west-1")


@pytest.mark.parametrize("minutes,text", [
    (-16, "Signature expired"), (16, "Signature not yet current"), (-14, None), (14, None),
])
def test_skew(control, monkeypatch, refused, minutes, text):
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)

    def shifted(remove_tzinfo=True):
        return now.replace(tzinfo=None) if remove_tzinfo else now

    monkeypatch.setattr(botocore.auth, "get_current_datetime", shifted)
    client = control.client()
    if text:
        refused(client.list_tasks, "InvalidSignatureException", text)
    else:
        client.list_tasks()


def test_unsigned(control):
    status, body = send(control, b"{}", is_signed=False)
    assert (status, body["__type"]) == (403, "MissingAuthenticationTokenException")


def test_incomplete_signature(control):
    status, body = send(control, b"{}", is_signed=False, headers={"Authorization": "AWS4-HMAC-SHA256 x"})
    assert (status, body["__type"]) == (400, "IncompleteSignatureException")


@pytest.mark.parametrize("body", [
    b"{", b"[]", b"nonsense", b'"x"', b"\xff", b'{"MaxResults": "x"}', b'{"NextToken": "\xc3("}',
    b'{"NextToken": "\\ud800"}', b'{"Filters": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"{}{}", b'{"MaxResults": 1e999}',
])
def test_malformed_json(control, body):
    status, answer = send(control, body)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_a_signature_does_not_cover_another_body(control):
    body = json.dumps({"ActivationKey": control.activation_key()}).encode()
    headers = sign(control, body, "FmrsService.CreateAgent")
    other = json.dumps({"ActivationKey": control.activation_key()}).encode()
    for wrong in (other, body + b" ", b""):
        status, answer = exchange(control, wrong, headers)
        assert (status, answer["__type"]) == (400, "InvalidSignatureException"), answer
    status, answer = exchange(control, body, headers | {"X-Amz-Target": "FmrsService.ListAgents"})
    assert (status, answer["__type"]) == (400, "InvalidSignatureException"), answer
    assert exchange(control, body, headers)[0] == 200


def test_an_expired_request_is_not_answered_again(control, monkeypatch):
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=16)

    def past(remove_tzinfo=True):
        return then.replace(tzinfo=None) if remove_tzinfo else then

    monkeypatch.setattr(botocore.auth, "get_current_datetime", past)
    status, answer = send(control, b"{}")
    assert (status, answer["__type"]) == (400, "InvalidSignatureException")
    assert answer["message"].startswith("Signature expired"), answer


@pytest.mark.parametrize("name,kind", [
    ("Authorization", "IncompleteSignatureException"), ("X-Amz-Date", "InvalidSignatureException"),
    ("X-Amz-Target", "InvalidSignatureException"), ("Host", None),
])
def test_headers_that_come_twice(control, name, kind):
    headers = sign(control, b"{}", "FmrsService.ListTasks")
    connection = http.client.HTTPConnection(control.address, timeout=30)
    connection.putrequest("POST", "/", skip_host=True)
    given = {"Host": control.address, "Content-Length": "2"} | headers
    for header, value in given.items():
        connection.putheader(header, value)
    connection.putheader(name, given[name])
    connection.endheaders(b"{}")
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 400, text
    # HTTP itself takes one Host; what refuses a second says nothing, or is our own check.
    assert kind is None or json.loads(text)["__type"] == kind


@pytest.mark.parametrize("target", [b"FmrsService.List\xff", b"FmrsService." + b"x" * 10_000])
def test_targets_that_are_no_text(control, target):
    status, answer = send(control, b"{}", target=target.decode("latin-1"), is_signed=False,
                          headers={"Authorization": "AWS4-HMAC-SHA256 x"})
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")
    assert len(json.dumps(answer)) < 2000


def test_an_empty_body_is_an_empty_object(control):
    assert send(control, b"")[0] == 200


@pytest.mark.parametrize("target", ["FmrsService.Explode", "Other.ListTasks", ""])
def test_unknown_targets(control, target):
    status, answer = send(control, b"{}", target=target)
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_missing_members(control):
    status, answer = send(control, b"{}", target="FmrsService.DescribeTask")
    assert (status, answer["__type"]) == (400, "InvalidRequestException")
    assert "TaskArn" in answer["message"] and "must not be null" in answer["message"]
    assert answer["errorCode"] == "InvalidParameter"


def test_a_manifest_without_its_source(control):
    body = b'{"TaskArn": "%s", "ManifestConfig": {"Action": "TRANSFER"}}' % ABSENT.encode()
    for operation in ("UpdateTask", "StartTaskExecution"):
        status, answer = send(control, body, target=f"FmrsService.{operation}")
        assert (status, answer["__type"]) == (400, "ValidationException")
        assert "IAM role" in answer["message"]


def test_other_methods_and_paths(control):
    for method, path in [("GET", "/"), ("POST", "/x"), ("POST", "/?a=b")]:
        status, answer = send(control, b"{}", method=method, path=path)
        assert (status, answer["__type"]) == (404, "UnknownOperationException")


def test_an_oversized_body_is_refused(control):
    status, answer = send(control, b"{" + b" " * (1024 * 1024) + b"}")
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")


def test_every_operation_of_the_model_is_known(control):
    for operation in control.client().meta.service_model.operation_names:
        _, answer = send(control, b"{}", target=f"FmrsService.{operation}")
        assert answer.get("__type") not in ("UnknownOperationException", "InternalException"), operation


def test_a_retried_call_gets_its_first_answer(control):
    body = json.dumps({"ActivationKey": control.activation_key()}).encode()
    headers = {"amz-sdk-invocation-id": str(uuid.uuid4())}
    first = send(control, body, "FmrsService.CreateAgent", headers)
    assert first[0] == 200
    assert send(control, body, "FmrsService.CreateAgent", headers) == first
    other = {"amz-sdk-invocation-id": str(uuid.uuid4())}
    assert send(control, body, "FmrsService.CreateAgent", other)[0] == 400


def test_the_same_signed_bytes_are_one_call(control):
    """A client without invocation ids, or a proxy, repeats what it sent."""
    body = json.dumps({"ActivationKey": control.activation_key()}).encode()
    headers = sign(control, body, "FmrsService.CreateAgent")
    first = exchange(control, body, headers)
    assert first[0] == 200
    assert exchange(control, body, headers) == first
    anew = sign(control, body, "FmrsService.CreateAgent", {"x-amz-meta-anew": "1"})
    assert exchange(control, body, anew)[0] == 400


def test_the_aws_cli(control):
    environment = {
        **os.environ, "AWS_ENDPOINT_URL_DATASYNC": control.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": control.key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": control.key["SecretAccessKey"],
    }

    def aws(*arguments):
        return subprocess.run(["aws", "datasync", *arguments], env=environment,
                              capture_output=True, text=True, timeout=60)

    made = aws("create-agent", "--activation-key", control.activation_key(), "--agent-name", "a1")
    assert made.returncode == 0, made.stderr
    arn = json.loads(made.stdout)["AgentArn"]
    listed = aws("list-agents", "--query", f"Agents[?AgentArn=='{arn}'].Name", "--output", "text")
    assert listed.stdout.strip() == "a1", listed.stderr
    missing = aws("describe-task", "--task-arn", ABSENT)
    assert missing.returncode != 0
    assert "(InvalidRequestException)" in missing.stderr and "is not found" in missing.stderr
