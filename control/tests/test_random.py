"""Random requests: what is well signed is let in, what is not is refused, and nothing is a 500.

Every failure names its seed; DATASYNC_SEED=<seed> repeats it.
"""

import base64
import http.client
import json
import os
import random
import string

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SEED = int(os.environ.get("DATASYNC_SEED", random.SystemRandom().randrange(2**32)))
MODELLED = {"InvalidRequestException", "SerializationException", "ValidationException"}
LISTS = {
    "ListAgents": {}, "ListLocations": {}, "ListTasks": {}, "ListTaskExecutions": {},
}


class Client:
    """Signs with botocore and sends over one connection at a time."""

    def __init__(self, control):
        self.control = control
        self.key = Credentials(control.key["AccessKeyId"], control.key["SecretAccessKey"])

    def sign(self, body, target, headers=()):
        request = AWSRequest("POST", self.control.endpoint + "/", data=body, headers={
            "X-Amz-Target": f"FmrsService.{target}",
            "Content-Type": "application/x-amz-json-1.1", **dict(headers)})
        SigV4Auth(self.key, "datasync", "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def send(self, body, headers):
        connection = http.client.HTTPConnection(self.control.address, timeout=30)
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def call(self, target, body, headers=()):
        return self.send(body, self.sign(body, target, headers))


@pytest.fixture(scope="module")
def client(control):
    return Client(control)


@pytest.fixture(scope="module", autouse=True)
def unharmed(control):
    yield
    assert control.process.poll() is None
    assert b"panicked" not in control.log.read_bytes()


@pytest.fixture
def chance(request):
    print("seed", SEED)
    return random.Random(f"{SEED} {request.node.name}")


def odd_value(chance):
    inner = "".join(chance.choices(string.printable[:95], k=chance.randrange(1, 60)))
    spaces = " " * chance.randrange(0, 4)
    return spaces + inner.replace("\t", " ") + "  " * chance.randrange(0, 3) + "x"


def test_what_botocore_signs_is_let_in_and_any_change_is_not(client, chance):
    for _ in range(150):
        headers = {
            f"x-amz-{''.join(chance.choices(string.ascii_lowercase, k=8))}": odd_value(chance)
            for _ in range(chance.randrange(0, 6))
        }
        body = json.dumps({"MaxResults": chance.randrange(0, 101)}).encode()
        body += b" " * chance.randrange(0, 2000)
        signed = client.sign(body, "ListTasks", headers)
        status, answer = client.send(body, signed)
        assert status == 200, (SEED, headers, answer)
        victim = chance.choice([*headers, "X-Amz-Target", "body", "Authorization"])
        if victim == "body":
            status, answer = client.send(body + b" ", signed)
        elif victim == "Authorization":
            last = "0" if signed[victim][-1] != "0" else "1"
            status, answer = client.send(body, {**signed, victim: signed[victim][:-1] + last})
        else:
            status, answer = client.send(body, {**signed, victim: signed[victim] + "x"})
        assert (status, answer["__type"]) == (400, "InvalidSignatureException"), (SEED, victim)


def tokens(chance):
    for _ in range(150):
        raw = chance.randbytes(chance.randrange(0, 80))
        yield chance.choice([
            lambda: base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
            lambda: base64.b64encode(raw).decode(),
            lambda: raw.decode("latin-1"),
            lambda: raw.hex(),
            lambda: "A" * chance.randrange(65_530, 65_540),
        ])()


@pytest.mark.parametrize("operation", LISTS)
def test_tokens_of_random_bytes(client, chance, operation):
    for token in tokens(chance):
        body = json.dumps({"NextToken": token, "MaxResults": 3}).encode()
        status, answer = client.call(operation, body)
        assert status == 200 or answer["__type"] == "InvalidRequestException", (SEED, token)


def value(chance, depth=0):
    kind = chance.randrange(12 if depth < 4 else 8)
    if kind < 8:
        return chance.choice([
            None, True, False, 0, -1, 2**31, 2**63, -(2**63), 10**30, 1.5, 1e308, "", "\0", "a" * 300,
            "\u202e", "\U0001f600", "arn:aws:datasync:us-east-1:123456789012:task/task-" + "0" * 17,
            "arn:aws:s3:::bucket", "arn:aws:iam::123456789012:role/unreachable", "*", "/", "..",
            "".join(map(chr, chance.choices(range(1, 0x300), k=20))),
        ])
    if kind < 10:
        return [value(chance, depth + 1) for _ in range(chance.randrange(0, 4))]
    names = ["Key", "Value", "Name", "Values", "Operator", "AgentArns", "FilterType", "Version"]
    return {chance.choice(names): value(chance, depth + 1) for _ in range(chance.randrange(0, 4))}


def right(shape, chance, depth=0):
    """A value of the model's type, and now and then any value."""
    if chance.random() < 0.08 or depth > 6:
        return value(chance)
    if shape.type_name == "structure":
        return {
            name: right(member, chance, depth + 1) for name, member in shape.members.items()
            if name in shape.required_members or chance.random() < 0.4
        }
    if shape.type_name == "list":
        return [right(shape.member, chance, depth + 1) for _ in range(chance.randrange(0, 3))]
    if shape.type_name == "string":
        enum = getattr(shape, "enum", None)
        return chance.choice(enum) if enum else chance.choice(
            ["name", "a/b", "host.example", "arn:aws:s3:::bucket", "",
             "arn:aws:datasync:us-east-1:123456789012:location/loc-" + "0" * 17,
             "arn:aws:datasync:us-east-1:123456789012:agent/agent-" + "0" * 17,
             "arn:aws:iam::123456789012:role/unreachable"])
    if shape.type_name in ("integer", "long"):
        return chance.choice([0, 1, 80, 443, -1, 100, 2**40])
    return value(chance)


def test_random_bodies_to_every_operation(control, client, chance):
    model = control.client().meta.service_model
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape
        for number in range(14):
            members = value(chance) if number % 7 == 6 else right(shape, chance)
            body = json.dumps(members).encode()
            status, answer = client.call(operation, body)
            assert status < 500, (SEED, operation, body, answer)
            if status != 200:
                assert answer["__type"] in MODELLED, (SEED, operation, body, answer)
                assert answer["message"], (SEED, operation, body)
                assert len(answer["message"]) < 20_000, (SEED, operation, len(body))


def test_bodies_that_are_no_json(client, chance):
    for _ in range(100):
        body = chance.randbytes(chance.randrange(1, 200))
        status, answer = client.call("CreateTask", body)
        assert (status, answer["__type"]) == (400, "SerializationException"), (SEED, body)


def test_deep_nesting(client):
    for opening in (b"[", b'{"a":'):
        status, answer = client.call("ListTasks", opening * 100_000)
        assert (status, answer["__type"]) == (400, "SerializationException")
