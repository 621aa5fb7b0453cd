"""What the programs tell the service manager that started them (`Type=notify`)."""

import os
import socket
import urllib.error
import urllib.request

import pytest
from world.agent import Agent
from world.control import Control
from world.process import free_port, wait_until


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


def test_an_agent_that_is_stuck_is_silent_until_it_goes_on(manager, control, tmp_path, module_logs):
    made, variables = manager
    port = free_port()
    agent = Agent("stuck", tmp_path, module_logs, control, telemetry_listen=f"127.0.0.1:{port}")
    agent.server.env = os.environ | variables
    agent.start()
    assert told(made) == "READY=1"
    assert told(made) == "WATCHDOG=1"
    # A state directory that never answers: the agent's loop waits at this file for somebody who reads.
    sign = agent.state / "alive"
    os.mkfifo(agent.state / "nobody-reads")
    (agent.state / "nobody-reads").rename(sign)

    def stuck():
        # Whoever tells waits for a manager that does not read.
        drain(made)
        return livez(port) == 503

    wait_until("a loop is stuck", stuck, 60)
    drain(made)
    agent.server.wait_for_line("watchdog.withheld")
    drain(made)
    # Five times what the watchdog allows.
    made.settimeout(2)
    with pytest.raises(TimeoutError):
        made.recv(4096)
    with open(sign, "rb"):
        wait_until("it goes on", lambda: livez(port) == 200, 60)
        made.settimeout(20)
        assert told(made) == "WATCHDOG=1"
        sign.unlink()
    assert agent.server.stop() == 0


def livez(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def drain(made):
    """Forgets what was told until now."""
    made.setblocking(False)
    try:
        while True:
            made.recv(4096)
    except BlockingIOError:
        return


def test_an_agent_that_cannot_start_is_never_ready(manager, control, tmp_path, module_logs):
    made, variables = manager
    agent = Agent("failing", tmp_path, module_logs, control, activation_listen="192.0.2.1:80")
    agent.server.env = os.environ | variables
    agent.start()
    assert agent.server.wait_for_end() == 1
    made.setblocking(False)
    with pytest.raises(BlockingIOError):
        made.recv(4096)
