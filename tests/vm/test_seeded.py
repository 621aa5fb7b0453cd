"""A machine that needs nobody: a NoCloud seed with network and activation key. Nothing listens on it."""

import json
import re
import select
import socket
import time

import pytest
from world import seeds
from world.machine import Machine
from world.process import run, wait_until
from world.releases import Releases

HOST = "10.0.2.2"
TAP, TAP_HOST, TAP_MACHINE = "vm0", "192.0.2.1", "192.0.2.10"
MAC = "52:54:00:12:34:56"
ADMITTED = 9464
BOOT_SECONDS = 900
NAME = "seeded-agent"
PROGRAM = "/usr/bin/datasync-agent"

NETWORK = f"""
version: 2
ethernets:
  lan:
    match: {{macaddress: "{MAC}"}}
    addresses: [{TAP_MACHINE}/24]
"""


def user_data(site, **more):
    given = {
        "control": f"{HOST}:{site.control.agent_port}",
        "control_server_name": "127.0.0.1",
        "control_fingerprint": f"'{site.control.fingerprint}'",
        "admit_tcp": f"[{ADMITTED}]",
        "name": NAME,
    } | more
    lines = "".join(f"  {name}: {value}\n" for name, value in given.items())
    return f"#cloud-config\nntp: {{servers: [{HOST}]}}\ndatasync:\n{lines}"


@pytest.fixture(scope="module")
def tap():
    """An interface of the machine that this world is on, without translation in between."""
    for command in (
        f"ip tuntap add dev {TAP} mode tap",
        f"ip address add {TAP_HOST}/24 dev {TAP}",
        f"ip link set {TAP} up",
    ):
        answer = run(command.split())
        assert answer.returncode == 0, f"{command}: {answer.stderr}"
    yield TAP, MAC
    run(["ip", "link", "delete", TAP])


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return Releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def machine(disk, site, machines, module_logs, tap, releases):
    key = site.control.create_activation_key("--agent-name", NAME)
    # In one line, as it may come.
    release_key = "'" + releases.public.read_text().strip().replace("\n", " ") + "'"
    seed = seeds.nocloud(
        machines / "first.img",
        meta_data="instance-id: first\nlocal-hostname: seeded\n",
        user_data=user_data(site, activation_key=key, release_key=release_key),
        network_config=NETWORK,
    )
    made = Machine("seeded", disk, machines, module_logs, [seed], tap=tap).start()
    try:
        yield made
    finally:
        made.pull_the_plug()


def online(site):
    agents = site.datasync.list_agents()["Agents"]
    return [agent for agent in agents if agent["Name"] == NAME and agent["Status"] == "ONLINE"]


def scan(address, ports, seconds=1.5, at_once=4096):
    """How each port answers: open, refused; those that do not answer are left out."""
    found = {}
    for first in range(0, len(ports), at_once):
        found |= _scan(address, ports[first : first + at_once], seconds)
    return found


def _scan(address, ports, seconds):
    found, waiting, poll = {}, {}, select.epoll()
    try:
        for port in ports:
            probe = socket.socket()
            probe.setblocking(False)
            probe.connect_ex((address, port))
            waiting[probe.fileno()] = (probe, port)
            poll.register(probe, select.EPOLLOUT)
        deadline = time.monotonic() + seconds
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left):
                probe, port = waiting.pop(descriptor)
                error = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                found[port] = "refused" if error else "open"
                probe.close()
    finally:
        for probe, _ in waiting.values():
            probe.close()
        poll.close()
    return found


def test_1_it_joins_by_itself(machine, site):
    [agent] = machine.server.wait_for("ONLINE", lambda: online(site), BOOT_SECONDS)
    assert agent["Name"] == NAME
    machine.line.wait("First login")


def test_2_nothing_listens_but_what_was_configured(machine):
    def reached():
        return run(["ping", "-c", "1", "-W", "2", TAP_MACHINE]).returncode == 0

    wait_until("its static address answers", reached, 60)
    # The firewall looks at the agent's identity each second.
    wait_until("port 80 is shut", lambda: not scan(TAP_MACHINE, [80]), 30)
    # Admitted, with nobody behind it: the one port that says so.
    assert scan(TAP_MACHINE, list(range(1, 65536))) == {ADMITTED: "refused"}


def told(site, state, version):
    [agent] = [agent for agent in site.datasync.list_agents()["Agents"] if agent["Name"] == NAME]
    update = json.loads(site.control.cli("agent", "show", agent["AgentArn"]))["Update"] or {}
    return update if (update.get("State"), update.get("Version")) == (state, version) else None


def test_3_control_updates_it_and_a_bad_release_is_taken_back(machine, site, releases):
    site.control.cli("release", "add", releases.good("9.1.0", PROGRAM))
    site.control.cli("agent", "set-version", "9.1.0", "--all")
    update = wait_until("9.1.0 runs", lambda: told(site, "CONFIRMED", "9.1.0"), 120)
    assert update["ByControl"]
    site.control.cli("release", "add", releases.make("9.2.0", "exit 1"))
    site.control.cli("agent", "set-version", "9.2.0", "--all")
    update = wait_until("9.2.0 is given up", lambda: told(site, "ROLLED_BACK", "9.2.0"), 180)
    assert "started 3 times" in update["Detail"], update
    wait_until("ONLINE", lambda: online(site), 60)
    site.control.cli("agent", "set-version", "none", "--all")


def test_4_a_bad_seed_is_told_and_the_machine_goes_on(machine, site, machines):
    machine.shut_down()
    bad = seeds.nocloud(
        machines / "second.iso",
        meta_data="instance-id: second\n",
        user_data="#cloud-config\ndatasync:\n  control: nonsense\n  contrl: x\n",
    )
    machine.seeds = [bad]
    machine.start()
    machine.server.wait_for("ONLINE", lambda: online(site), BOOT_SECONDS)
    line = machine.line
    line.wait("First login", timeout=BOOT_SECONDS)
    line.press("appliance-canary-2\rappliance-canary-2\r\r")
    line.wait("The password is set")
    line.press("q")
    text = line.wait("The seed", "cannot be used")
    assert "contrl" in text.replace("\n", ""), text
    # Not only kept out by the firewall: no program waits, but for answers to what it asked.
    line.press("4")
    text = line.wait("Listening: ").replace("\n", " ")
    sockets = text.partition("Listening: ")[2]
    assert "tcp" not in sockets, text
    udp = {int(port) for port in re.findall(r"udp \S+:(\d+)", sockets)}
    # 68 and 546: DHCP; the others are those of its own questions.
    assert all(port in (68, 546) or port >= 32768 for port in udp), text
    assert scan(TAP_MACHINE, [80, ADMITTED]) == {ADMITTED: "refused"}
