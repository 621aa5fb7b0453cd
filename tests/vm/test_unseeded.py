"""The smallest machine, that nobody gave a seed: all that it needs is said at its console. Its disk was made
larger, and one to carry things away is attached."""

import re
import tarfile
import time

import pytest
from world.machine import Machine
from world.process import run, wait_until
from world.secrets import remember
from world.terminal import ENTER

HOST = "10.0.2.2"
ADDRESS = "10.0.2.77"
PASSWORD = "appliance-canary-3"
BOOT_SECONDS = 900
TAB = "\t"


def support_disk(path):
    with open(path, "wb") as file:
        file.truncate(16 * 1024 * 1024)
    answer = run(["mkfs.vfat", "-n", "SUPPORT", path])
    assert answer.returncode == 0, answer
    return path


@pytest.fixture(scope="module")
def machine(disk, machines, module_logs):
    made = Machine(
        "unseeded", disk, machines, module_logs, disk_size="12G", memory_mib=512, cpus=1
    )
    made.more_disks = [support_disk(machines / "support.img")]
    made.start()
    try:
        yield made
    finally:
        made.pull_the_plug()


def test_1_it_is_configured_and_activated_at_its_console(machine, site):
    remember("the console of the unseeded machine", PASSWORD)
    line = machine.line
    line.wait("First login", timeout=BOOT_SECONDS)
    line.press(PASSWORD + ENTER + PASSWORD + ENTER + ENTER)
    line.wait("The password is set")
    line.press("q")
    line.wait("The agent's configuration cannot be used", "control: missing")
    line.press("2")
    line.wait("Save and test")
    address = f"{HOST}:{site.control.agent_port}"
    line.press(address + ENTER + site.control.fingerprint + ENTER + ENTER)
    text = line.wait("saved", "gRPC")
    assert "FAIL" not in text, text
    line.press("q")
    line.wait("The agent is not activated")
    # The one thing that waits for anybody.
    line.press("4")
    sockets = line.wait("Listening: ").partition("Listening: ")[2]
    assert re.findall(r"tcp [^\s,]+", sockets) in (["tcp 0.0.0.0:80"], ["tcp [::]:80"]), sockets
    line.press("q")
    line.wait("Get activation key")
    line.press("0")
    line.wait("Region")
    line.press(TAB + ENTER)
    text = line.wait("Activation key", "Good for one CreateAgent")
    key = re.search(r"([A-Z0-9]{5}-){4}[A-Z0-9]{5}", text).group()
    remember("an activation key of the unseeded machine", key)
    arn = site.datasync.create_agent(ActivationKey=key, AgentName="unseeded")["AgentArn"]

    def online():
        return site.datasync.describe_agent(AgentArn=arn)["Status"] == "ONLINE"

    machine.server.wait_for("ONLINE", online, 60)
    line.press("q")
    line.wait("The agent is connected to control")


def test_2_it_is_large_enough_and_its_disk_is_used_whole(machine):
    line = machine.line
    line.press("4")
    text = line.wait("State disk: ", "Listening: ")
    assert "FAIL" not in text, text
    assert int(re.search(r"State disk: \d+ MiB of (\d+) MiB", text).group(1)) > 10 * 1024, text
    assert int(re.search(r"Memory: (\d+) MiB", text).group(1)) < 512, text
    line.press("q")
    line.wait("Get activation key")


def test_3_its_network_is_changed(machine, site):
    line = machine.line
    line.press("1")
    line.wait("Interface", "eth0")
    # The interface stays; static; a proxy that is not there.
    line.press(ENTER + " " + ENTER + f"{ADDRESS}/24" + ENTER + HOST + ENTER + "10.0.2.3" + ENTER)
    line.press(ENTER + f"http://{HOST}:1" + ENTER + f"me{ENTER}network-canary" + ENTER * 3)
    text = line.wait("files written", "restart datasync-agent")
    assert "FAIL" not in text and "network-canary" not in text, text
    line.press("q")
    # Tested by the new proxy, at once.
    line.press("2")
    line.wait("Save and test")
    line.press(TAB + TAB + ENTER)
    text = line.wait("FAIL")
    assert f"{HOST}:1" in text.replace("\n", ""), text
    line.press("q")
    # And away with it.
    line.press("1")
    line.wait("Interface", ADDRESS)
    erase = "\x7f" * 24
    connected = site.control.server.output().count("agent.connected")
    line.press(TAB * 6 + erase + ENTER + erase + ENTER + erase + ENTER * 3)
    line.wait("files written", "restart datasync-agent")
    line.press("q")

    def comes_back():
        return site.control.server.output().count("agent.connected") > connected

    machine.server.wait_for("its session", comes_back, 120)
    line.wait("The agent is connected to control")


def test_4_a_support_bundle_is_carried_away(machine, tmp_path):
    line = machine.line
    line.press("8")
    line.wait("Support bundle", "Directory")
    line.press("\x7f" * 60 + "/media/support" + ENTER + ENTER)
    line.wait("The bundle is written")
    # As if it had been pulled out: what is told as written is on it.
    answer = run(["mcopy", "-i", machine.more_disks[0], "::datasync-support-*", tmp_path])
    assert answer.returncode == 0, answer
    [bundle] = tmp_path.glob("datasync-support-*.tar.gz")
    with tarfile.open(bundle) as archive:
        parts = {
            member.name.rpartition("/")[2]: archive.extractfile(member).read().decode()
            for member in archive
            if member.isfile()
        }
    assert {"settings.txt", "resources.txt", "network.txt", "log.txt"} <= set(parts)
    assert ADDRESS in parts["network.txt"], parts["network.txt"]
    assert "canary" not in "".join(parts.values())


def test_5_the_level_of_its_log_is_changed(machine):
    line = machine.line
    line.press("q")
    line.wait("Get activation key")
    line.press("7")
    line.wait("l level")
    line.press("l")
    line.wait("< info >")
    # debug, error, warn.
    line.press("   " + ENTER)
    text = line.wait("The level of the log is warn.", "try-reload-or-restart")
    assert "FAIL" not in text, text
    line.press("q7")

    def is_told():
        time.sleep(2)
        line.press("r")
        return "SIGHUP: the log's level" in line.wait("l level", gone="Please wait")

    wait_until("the log tells of it", is_told, 120)
    line.press("q")
    line.wait("The agent is connected to control")
