"""Roles that are assumed: the call to STS, its credentials at the store, and their refresh."""

import datetime
import http.server
import json
import re
import socketserver
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest

import control_process
from conftest import Checked
from control_process import ACCOUNT, Control

ROLE = f"arn:aws:iam::{ACCOUNT}:role/assumed"


class Sts(http.server.BaseHTTPRequestHandler):
    """Answers AssumeRole with keys that live for `server.lifetime_s`."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
        self.server.asked.append(asked)
        number = len(self.server.asked)
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            seconds=self.server.lifetime_s)
        answer = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleResult><Credentials>"
            f"<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>CANARY-sts</SecretAccessKey>"
            f"<SessionToken>CANARY-token-{number}</SessionToken>"
            f"<Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ).encode()
        self.answer(answer)

    def do_GET(self):
        """The store: an empty bucket, and a note of who asked."""
        key = re.search(r"Credential=([^/]+)/", self.headers["Authorization"]).group(1)
        self.server.used.append((key, self.headers["X-Amz-Security-Token"]))
        self.answer(b"<ListBucketResult><Name>bucket</Name></ListBucketResult>")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def assuming(directory, monkeypatch, sts, store):
    """A control whose `ROLE` is assumed at `sts`, with buckets at `store`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "base")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-base")
    start = Control.start

    def configured(control):
        with control.config.open("a") as config:
            config.write(
                f'[[role]]\narn = "{ROLE}"\nkind = "assume-role"\n'
                f'sts_endpoint = "{sts}"\nendpoint = "{store}"\n')
        start(control)

    monkeypatch.setattr(control_process.Control, "start", configured)
    return Control(directory)


def create(api):
    return api.create_location_s3(
        S3BucketArn="arn:aws:s3:::bucket", Subdirectory="in",
        S3Config={"BucketAccessRoleArn": ROLE})["LocationArn"]


@pytest.fixture
def sts():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    server.asked, server.used, server.lifetime_s = [], [], 3600
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_the_role_is_assumed_for_the_location_alone(tmp_path, monkeypatch, sts):
    url = f"http://127.0.0.1:{sts.server_port}"
    control = assuming(tmp_path, monkeypatch, url, url)
    location = create(Checked(control.client()))
    (asked,) = sts.asked
    assert asked["Action"] == "AssumeRole" and asked["RoleArn"] == ROLE
    assert asked["RoleSessionName"] == "datasync-" + location.rsplit("/", 1)[1]
    assert asked["DurationSeconds"] == "3600"
    statements = json.loads(asked["Policy"])["Statement"]
    resources = json.dumps([statement["Resource"] for statement in statements])
    assert "arn:aws:s3:::bucket/in/*" in resources and "arn:aws:s3:::*" not in resources
    actions = [action for statement in statements for action in statement["Action"]]
    assert "s3:ListBucket" in actions and "s3:PutObject" not in actions, "the test only lists"
    assert sts.used == [("ASIA1", "CANARY-token-1")]
    control.stop()
    for file in [*control.state.rglob("*"), control.log]:
        if file.is_file():
            assert b"CANARY" not in file.read_bytes(), file


def test_keys_are_used_again_and_replaced_before_they_expire(tmp_path, monkeypatch, sts):
    sts.lifetime_s = 12
    url = f"http://127.0.0.1:{sts.server_port}"
    control = assuming(tmp_path, monkeypatch, url, url)
    api = Checked(control.client())
    location = create(api)
    began = time.monotonic()
    api.update_location_s3(LocationArn=location, S3StorageClass="STANDARD_IA")
    if time.monotonic() - began < 2:
        assert len(sts.asked) == 1, "keys with most of their life left are used again"
    deadline = time.monotonic() + 60
    while len(sts.asked) == 1:
        assert time.monotonic() < deadline, "the keys were never replaced"
        api.update_location_s3(LocationArn=location, S3StorageClass="STANDARD")
        time.sleep(0.2)
    assert sts.used[-1] == ("ASIA2", "CANARY-token-2")
    control.stop()


def test_against_moto(tmp_path, monkeypatch):
    with socketserver.TCPServer(("127.0.0.1", 0), None) as probe:
        port = probe.server_address[1]
    moto = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url + "/moto-api/", timeout=5).close()
                break
            except OSError:
                assert moto.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        request = urllib.request.Request(url + "/bucket", method="PUT")
        request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/"
                           "aws4_request, SignedHeaders=host, Signature=x")
        urllib.request.urlopen(request, timeout=30).close()
        control = assuming(tmp_path, monkeypatch, url, url)
        api = Checked(control.client())
        location = create(api)
        assert api.describe_location_s3(LocationArn=location)["LocationUri"] == "s3://bucket/in/"
        control.stop()
    finally:
        moto.terminate()
        moto.wait(30)
