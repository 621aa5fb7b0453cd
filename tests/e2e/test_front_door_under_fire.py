"""Slow, silent and loud clients at the API, while an agent works and others call."""

import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from world.agent import Agent
from world.control import API_PORT, Control
from world.http2 import trusting_nobody
from world.watched import Watched

CROWD = Path(__file__).resolve().parents[1] / "world" / "crowd.py"
# Of docs/operations.md.
CONNECTIONS_MAX = 512
BODY_BYTES_MAX = 1 << 20
# A client that has an id of a key, and no key.
HEAD = (
    b"POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-date: 20260101T000000Z\r\n"
    b"x-amz-target: FmrsService.ListAgents\r\nauthorization: AWS4-HMAC-SHA256 "
    b"Credential=AKIAUNKNOWN/20260101/us-east-1/datasync/aws4_request,"
    b"SignedHeaders=host;x-amz-date;x-amz-target,Signature=" + b"0" * 64 + b"\r\n"
)


@pytest.fixture(scope="module")
def under_fire(directory, module_logs):
    control = Control(directory, module_logs)
    control.start()
    agent = Agent("agent", directory, module_logs, control, port=8086).start()
    agent.activate(control.boto())
    with Watched(control, agent) as watched:
        yield watched
        # Two heartbeats: an agent that was cut off would show.
        time.sleep(4.5)
    watched.assert_unharmed()
    agent.stop()
    control.stop()


@pytest.fixture(autouse=True)
def unharmed(under_fire):
    yield
    under_fire.assert_unharmed()


def connected(source="127.0.0.1"):
    plain = socket.create_connection(("127.0.0.1", API_PORT), 30, (source, 0))
    return trusting_nobody().wrap_socket(plain, server_hostname="localhost")


def answer(stream, seconds=60):
    """The status and the text of an answer; None where the server only ended the connection."""
    stream.settimeout(seconds)
    octets = b""
    try:
        while more := stream.recv(65536):
            octets += more
            found = re.search(rb"content-length: (\d+)\r\n.*?\r\n\r\n", octets, re.S | re.I)
            if found and len(octets) >= found.end() + int(found.group(1)):
                break
    except OSError:
        pass
    status = re.match(rb"HTTP/1\.1 (\d+)", octets)
    return (int(status.group(1)), octets.decode()) if status else (None, "")


def test_ten_thousand_idle_connections(under_fire):
    crowd = subprocess.Popen(
        [sys.executable, CROWD, str(API_PORT), "1000", "9000"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        word, made, refused = crowd.stdout.readline().split()
        assert (word, int(made) + int(refused) >= 10_000) == ("open", True)
        # New ones are served, though all places were taken, and the agent is watched meanwhile.
        for _ in range(20):
            under_fire.control.boto().list_agents()
        time.sleep(2)
        left, _ = crowd.communicate(timeout=120)
        assert int(left) <= CONNECTIONS_MAX
    finally:
        crowd.kill()
        crowd.wait()


def test_heads_and_bodies_that_trickle(under_fire):
    """More of them than one address may have, from several addresses."""
    requests = [b"POST / HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
                HEAD + b"content-length: 1000\r\n\r\n",
                HEAD + b"transfer-encoding: chunked\r\n\r\n3e8\r\n"]
    slow = []
    for number in range(600):
        try:
            stream = connected(f"127.0.4.{number % 4 + 1}")
            stream.sendall(requests[number % len(requests)])
            slow.append(stream)
        except OSError:
            pass  # refused, or cut off already
    assert len(slow) > CONNECTIONS_MAX / 2
    codes = set()
    for stream in slow:
        try:
            stream.sendall(b"x")
        except OSError:
            pass
    for stream in slow:
        codes.add(answer(stream)[0])
        stream.close()
    assert 408 in codes
    # 503: cut off in favour of others before the request was there.
    assert codes <= {None, 400, 408, 503}
    under_fire.control.boto().list_agents()


def test_bodies_of_tiny_chunks(under_fire):
    """Each octet a chunk of its own: kept as they come, they would take many times their length."""
    octets = b"1\r\nx\r\n" * 65536

    def send(stream):
        stream.settimeout(60)
        stream.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(BODY_BYTES_MAX // 65536 - 1):
                stream.sendall(octets)
            time.sleep(5)
        except OSError:
            pass
        stream.close()

    senders = [threading.Thread(target=send, args=(connected(),)) for _ in range(24)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def test_bodies_that_are_too_long(under_fire):
    refused = []

    def send(head):
        stream = connected()
        stream.settimeout(60)
        try:
            stream.sendall(head)
            for _ in range(64):
                stream.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n" if b"chunked" in head else b"x" * 65536)
        except OSError:
            pass
        refused.append(answer(stream)[0])
        stream.close()

    heads = [HEAD + b"content-length: 100000000\r\n\r\n", HEAD + b"transfer-encoding: chunked\r\n\r\n"]
    senders = [threading.Thread(target=send, args=(heads[number % 2],)) for number in range(32)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert set(refused) <= {None, 408, 413, 400}


@pytest.mark.parametrize("head,statuses", [
    (b"x-long: " + b"y" * 200_000 + b"\r\n", {431, None}),
    (b"".join(b"x-%d: y\r\n" % number for number in range(1000)), {431, None}),
    (b"content-length: 2\r\ncontent-length: 3\r\n", {400}),
    (b"content-length: 2\r\ntransfer-encoding: chunked\r\n", {400, 403}),
    (b"bad header\r\n", {400}),
    (b"x-target: \xff\xfe\r\n", {400, 403}),
    (b"content-length: -1\r\n", {400}),
    (b"content-length: 99999999999999999999999\r\n", {400}),
])
def test_heads_that_are_refused(under_fire, head, statuses):
    stream = connected()
    try:
        stream.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n{}")
    except OSError:
        pass
    assert answer(stream)[0] in statuses
    stream.close()


def test_answers_that_nobody_takes(under_fire):
    """Requests in a row on each connection, whose answers are left where they are."""
    request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200
    silent = []
    for _ in range(100):
        stream = connected()
        stream.settimeout(1)
        try:
            for _ in range(50):
                stream.sendall(request)
        except OSError:
            pass
        silent.append(stream)
    under_fire.control.boto().list_agents()
    for stream in silent:
        stream.close()
