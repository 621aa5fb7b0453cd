"""What the programs tell the service manager that started them (`Type=notify`)."""

import os
import socket

import pytest
from world.agent import Agent
from world.control import Control


@pytest.fixture
def manager(tmp_path):
    """The socket of a service manager, and what a service sees of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        path = str(tmp_path / "notify")
        made.bind(path)
        made.settimeout(20)
        yield made, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}


def told(manager):
    return manager.recv(4096).decode().strip()


def watched(manager, server):
    """From the start to the end: ready, alive again and again, stopping."""
    assert told(manager) == "READY=1"
    assert [told(manager) for _ in range(3)] == ["WATCHDOG=1"] * 3
    assert server.stop() == 0
    while (said := told(manager)) == "WATCHDOG=1":
        pass
    assert said == "STOPPING=1"


def test_the_agent(manager, control, tmp_path, module_logs):
    made, variables = manager
    agent = Agent("notifying", tmp_path, module_logs, control)
    agent.server.env = os.environ | variables
    agent.start()
    watched(made, agent.server)


def test_control(manager, tmp_path, module_logs):
    made, variables = manager
    other = Control(tmp_path, module_logs, api_port=18443, agent_port=19443, name="notifying-control")
    other.server.env = os.environ | variables
    other.server.start()
    watched(made, other.server)


def test_an_agent_that_cannot_start_is_never_ready(manager, control, tmp_path, module_logs):
    made, variables = manager
    agent = Agent("failing", tmp_path, module_logs, control, activation_listen="192.0.2.1:80")
    agent.server.env = os.environ | variables
    agent.start()
    assert agent.server.wait_for_end() == 1
    made.setblocking(False)
    with pytest.raises(BlockingIOError):
        made.recv(4096)
