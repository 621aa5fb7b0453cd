"""The same image by other firmware, and with the devices that VMware gives a machine."""

import socket
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from world import seeds
from world.machine import Machine
from world.process import free_port, wait_until
from world.releases import Releases
from world.secrets import remember
from world.terminal import ENTER
from world.tunnels import Tunnels

HOST, ADDRESS = "10.0.2.2", "10.0.2.99"
UEFI = Path("/usr/share/OVMF")
BOOT_SECONDS = 900
NAME = "platform-agent"
PASSWORD = "appliance-canary-4"
PROXY_PASSWORD = "proxy-canary/4"
# What the form of the OVA asks for: name and what the machine below is given.
EVERY_PROPERTY = {
    "control": f"{HOST}:{{control.agent_port}}",
    "control_fingerprint": "",
    "control_ca": "{ca}",
    "control_server_name": "127.0.0.1",
    "activation_key": "{key}",
    "name": NAME,
    "hostname": "platform-1",
    "address": f"{ADDRESS}/24",
    "gateway": HOST,
    "dns": "10.0.2.3",
    "time_servers": HOST,
    "proxy": f"http://me:proxy-canary%2F4@{HOST}:{{proxy}}",
    "no_proxy": "store.internal",
    "ca_bundle": "{ca}",
    "release_key": "{release_key}",
    "admit_tcp": "9464",
}


@pytest.fixture(scope="module")
def tunnels():
    started = Tunnels(free_port(), "me", PROXY_PASSWORD, {HOST: "127.0.0.1"}).start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def clock():
    """Where the machine asks for the time; nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 123))
        server.settimeout(1)
        yield server


@pytest.fixture(scope="module")
def vmware(images, site, machines, module_logs, tunnels, clock, tmp_path_factory):
    """The disk out of the OVA, and an answer to each question of its form."""
    remember("a proxy's password", PROXY_PASSWORD)
    with tarfile.open(next(images.glob("*.ova"))) as archive:
        [name] = [name for name in archive.getnames() if name.endswith(".vmdk")]
        archive.extract(name, machines, filter="data")
    facts = {
        "control": site.control,
        "ca": site.control.ca.read_text().replace("\n", " "),
        "key": site.control.create_activation_key("--agent-name", NAME),
        "proxy": tunnels.port,
        "release_key": Releases(tmp_path_factory.mktemp("releases")).public.read_text(),
    }
    given = {key: value.format(**facts) for key, value in EVERY_PROPERTY.items()}
    made = Machine(
        "vmware", machines / name, machines, module_logs, [seeds.ovf(machines / "form.iso", given)],
        disk_device="pvscsi", network_device="vmxnet3", has_screen=True,
    )
    try:
        yield made.start()
    finally:
        made.pull_the_plug()


def test_1_a_form_that_is_filled_in_is_all_it_takes(vmware, site, tunnels, clock):
    def online():
        agents = site.datasync.list_agents()["Agents"]
        return [agent["AgentArn"] for agent in agents if (agent["Name"], agent["Status"]) == (NAME, "ONLINE")]

    [arn] = vmware.server.wait_for("ONLINE", online, BOOT_SECONDS)
    assert site.datasync.describe_agent(AgentArn=arn)["Name"] == NAME
    assert f"CONNECT {HOST}:{site.control.agent_port}" in tunnels.asked

    def is_asked():
        try:
            question, (address, _) = clock.recvfrom(512)
        except TimeoutError:
            return False
        return address == "127.0.0.1" and len(question) == 48

    wait_until("it asks for the time", is_asked, 120)


def test_2_its_console_shows_what_the_form_said(vmware):
    remember("the console of the platform machine", PASSWORD)
    # On its monitor, which has a console of its own.
    line = vmware.screen
    line.wait("First login", timeout=BOOT_SECONDS)
    line.press(PASSWORD + ENTER + PASSWORD + ENTER + ENTER)
    line.wait("The password is set")
    line.press("q")
    text = line.wait("The agent is connected to control")
    line.press("1")
    text = line.wait("Interface", f"{ADDRESS}/24")
    for shown in ("10.0.2.3", "store.internal", f"http://{HOST}:"):
        assert shown in text, text
    assert PROXY_PASSWORD not in text
    line.press("\x1b")
    line.wait("Get activation key")
    line.press("5")
    line.wait("Status: ONLINE", NAME)


def test_3_the_power_is_cut_and_comes_back(vmware, site):
    [arn] = [agent["AgentArn"] for agent in site.datasync.list_agents()["Agents"]]
    vmware.pull_the_plug()
    before = datetime.now(UTC)
    vmware.seeds = []
    vmware.start()

    def has_come_back():
        agent = site.datasync.describe_agent(AgentArn=arn)
        return agent["Status"] == "ONLINE" and agent["LastConnectionTime"] > before

    vmware.server.wait_for("ONLINE again", has_come_back, BOOT_SECONDS)
    vmware.line.wait("This console is locked", timeout=BOOT_SECONDS)


def test_4_it_boots_by_uefi(disk, machines, module_logs):
    made = Machine("uefi", disk, machines, module_logs, firmware=UEFI)
    try:
        made.start().line.wait("First login", timeout=BOOT_SECONDS)
    finally:
        made.pull_the_plug()
