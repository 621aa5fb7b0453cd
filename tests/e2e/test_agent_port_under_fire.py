"""Strangers at the agents' port who break HTTP/2 and gRPC on purpose, while an agent works."""

import os
import socket
import time

import pytest
from world.agent import Agent
from world.control import AGENT_PORT, Control
from world.http2 import (
    ATTACH, AWAIT_ACTIVATION, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
    HEADERS, PING, PREFACE, REFUSED_STREAM, RST_STREAM, SETTINGS, Connection, call, field, frame,
)
from world.watched import Watched

# The port's bounds on strangers of one address, and on handshakes.
STRANGERS_PER_ADDRESS = 64


@pytest.fixture(scope="module")
def under_fire(directory, module_logs):
    control = Control(directory, module_logs)
    control.start()
    agent = Agent("agent", directory, module_logs, control, port=8085).start()
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


def test_handshakes_that_never_finish(under_fire):
    """From several addresses, more than there are places; half of them have begun to talk."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(32)
    silent = []
    for number in range(600):
        source = (f"127.0.1.{number % 6 + 1}", 0)
        stranger = socket.create_connection(("127.0.0.1", AGENT_PORT), 10, source)
        try:
            stranger.sendall(hello if number % 2 else b"")
        except OSError:
            pass  # refused already
        silent.append(stranger)
    deadline = time.monotonic() + 60
    for stranger in silent:
        stranger.settimeout(max(deadline - time.monotonic(), 0.1))
        try:
            while stranger.recv(1024):
                pass  # an alert, perhaps
        except ConnectionError:
            pass
        stranger.close()


def test_streams_that_are_opened_and_reset(under_fire):
    """CVE-2023-44487, "rapid reset"."""
    stranger = Connection(AGENT_PORT)
    sent = 0
    for first in range(1, 200_000, 2 * 100):
        flood = b"".join(
            frame(HEADERS, END_HEADERS, stream, call(ATTACH))
            + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            for stream in range(first, first + 2 * 100, 2)
        )
        if not stranger.send(flood):
            break
        sent += 100
    assert stranger.verdict() in (ENHANCE_YOUR_CALM, "closed"), f"after {sent} streams"
    stranger.close()


def test_more_streams_than_a_connection_may_have(under_fire):
    stranger = Connection(AGENT_PORT)
    streams = range(1, 2 * 500, 2)
    stranger.send(b"".join(
        frame(HEADERS, END_HEADERS, stream, call(AWAIT_ACTIVATION)) for stream in streams
    ))
    refused = set()
    for kind, stream, payload in stranger.frames(5):
        if kind == RST_STREAM and int.from_bytes(payload, "big") == REFUSED_STREAM:
            refused.add(stream)
        if kind is None or len(refused) == len(streams) - 16:
            break
    ended = kind is None
    assert ended or len(refused) == len(streams) - 16
    stranger.close()


def test_many_connections_with_many_streams(under_fire):
    """Every place that one address has, and every stream that a connection has, held open."""
    strangers = []
    for _ in range(STRANGERS_PER_ADDRESS):
        try:
            stranger = Connection(AGENT_PORT, source="127.0.2.1")
        except OSError:
            break
        # The beginning of a message of 16 KiB, whose end does not come.
        begun = b"\0\0\0\x40\0" + b"x" * 8192
        stranger.send(b"".join(
            frame(HEADERS, END_HEADERS, stream, call(AWAIT_ACTIVATION)) + frame(DATA, 0, stream, begun)
            for stream in range(1, 2 * 16, 2)
        ))
        strangers.append(stranger)
    assert strangers
    time.sleep(3)
    for stranger in strangers:
        stranger.close()


@pytest.mark.parametrize("announced", [b"\0\0\0\x40\x01", b"\0\xff\xff\xff\xff"])
def test_messages_that_are_too_long(under_fire, announced):
    stranger = Connection(AGENT_PORT)
    stranger.send(
        frame(HEADERS, END_HEADERS, 1, call(AWAIT_ACTIVATION)) + frame(DATA, 0, 1, announced + b"x" * 99)
    )
    answered = b"".join(payload for kind, _, payload in stranger.frames(3) if kind == HEADERS)
    assert answered, "a status"
    stranger.close()


@pytest.mark.parametrize("message", [
    b"\0\0\0\0\x04\xff\xff\xff\xff", b"\x01\0\0\0\x02xx", b"\x07\0\0\0\0", b"\0\0",
])
def test_messages_that_are_none(under_fire, message):
    stranger = Connection(AGENT_PORT)
    stranger.send(
        frame(HEADERS, END_HEADERS, 1, call(AWAIT_ACTIVATION)) + frame(DATA, END_STREAM, 1, message)
    )
    assert any(kind in (HEADERS, RST_STREAM, None) for kind, _, _ in stranger.frames(3))
    stranger.close()


def endless_headers():
    yield frame(HEADERS, 0, 1, call(AWAIT_ACTIVATION))
    for number in range(20_000):
        yield frame(CONTINUATION, 0, 1, field(f"x-{number}", "y" * 100))


def pings():
    for _ in range(2_000):
        yield frame(PING, 0, 0, b"12345678") * 100


def settings():
    for _ in range(2_000):
        yield frame(SETTINGS, 0, 0, b"\0\x04\0\x01\0\0") * 100


def empty_data():
    yield frame(HEADERS, END_HEADERS, 1, call(AWAIT_ACTIVATION))
    for _ in range(2_000):
        yield frame(DATA, 0, 1) * 100


@pytest.mark.parametrize("flood", [endless_headers, pings, settings, empty_data])
def test_floods_of_frames(under_fire, flood):
    """Nobody reads the answers, either."""
    stranger = Connection(AGENT_PORT)
    stranger.stream.settimeout(10)
    for octets in flood():
        if not stranger.send(octets):
            break
    stranger.close()


@pytest.mark.parametrize("octets", [
    PREFACE + b"\xff" * 4096,
    PREFACE + frame(DATA, 0, 0, b"x"),
    PREFACE + frame(SETTINGS, 0, 0, b"odd"),
    PREFACE + frame(SETTINGS) + b"\xff\xff\xff\0\0\0\0\0\x01",
    PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 2, call(ATTACH)),
    PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    b"POST / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    os.urandom(4096),
])
def test_what_is_no_http2(under_fire, octets):
    stranger = Connection(AGENT_PORT, preface=octets)
    assert stranger.verdict() is not None
    stranger.close()
