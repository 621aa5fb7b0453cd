"""The appliance from power-on to a finished transfer: OVF properties, port 80, the serial line, a reboot."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from world import seeds, tree
from world.machine import Machine
from world.process import accepts, free_port, wait_until
from world.secrets import remember
from world.terminal import ENTER, ESCAPE

# The world's loopback, as the machine sees it.
HOST = "10.0.2.2"
TAB = "\t"
PASSWORD = "appliance-canary-1"
REGION = "us-east-1"
BOOT_SECONDS = 900
SCREENS = Path(__file__).resolve().parent / "screens"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def machine(disk, site, machines, module_logs):
    seed = seeds.ovf(
        machines / "ovf.iso",
        {
            "hostname": "appliance-1",
            "control": f"{HOST}:{site.control.agent_port}",
            "control_server_name": "127.0.0.1",
            # Forms make one line of it.
            "control_ca": site.control.ca.read_text().replace("\n", " "),
            "proxy": "",
        },
    )
    made = Machine("appliance", disk, machines, module_logs, [seed], {80: free_port()}).start()
    try:
        yield made
    finally:
        made.pull_the_plug()


def curl(machine):
    url = f"http://127.0.0.1:{machine.forwards[80]}/?gatewayType=SYNC&activationRegion={REGION}&no_redirect"
    answer = subprocess.run(
        ["curl", "-sf", "--max-time", "5", url], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def masked(screen):
    """Without what differs from run to run."""
    screen = re.sub(r"agent-[0-9a-f]{17}", "agent-" + "0" * 17, screen)
    return re.sub(r"([A-Z0-9]{5}-){4}[A-Z0-9]{5}", "XXXXX-XXXXX-XXXXX-XXXXX-XXXXX", screen)


def compare(name, screen):
    """`DATASYNC_GOLDEN=write` writes the file anew."""
    shown, file = masked(screen).rstrip() + "\n", SCREENS / f"{name}.txt"
    if os.environ.get("DATASYNC_GOLDEN") == "write":
        file.write_text(shown)
    assert shown == file.read_text(), screen


def test_1_it_is_activated_through_port_80(machine, site, record_property):
    key = machine.server.wait_for("an activation key", lambda: curl(machine), BOOT_SECONDS)
    seconds = time.monotonic() - machine.started_at
    record_property("power_on_to_activation_key_seconds", round(seconds, 1))
    print(f"power-on to activation key: {seconds:.1f} s")
    remember("an activation key of the appliance", key)
    command = ["aws", "datasync", "create-agent", "--activation-key", key]
    command += ["--agent-name", "appliance", "--query", "AgentArn", "--output", "text"]
    created = subprocess.run(
        command, env=site.control.environment(), capture_output=True, text=True, check=False
    )
    assert created.returncode == 0, created.stderr
    site.arn = created.stdout.strip()

    def online():
        return site.datasync.describe_agent(AgentArn=site.arn)["Status"] == "ONLINE"

    machine.server.wait_for("ONLINE", online, 60)
    # The port closes, and the firewall before it.
    wait_until("port 80 is closed", lambda: curl(machine) is None, 30)


def test_2_the_console_is_on_the_serial_line(machine, site):
    remember("the console of the appliance", PASSWORD)
    line = machine.line
    compare("first-login", line.wait("First login"))
    line.press(PASSWORD + ENTER + PASSWORD + ENTER + ENTER)
    text = line.wait("The password is set")
    assert PASSWORD not in text
    line.press("q")
    compare("menu", line.wait("connected to control", "ONLINE"))
    line.press("5")
    text = line.wait("Status: ONLINE", site.arn.rpartition("/")[2])
    assert "appliance-1" in text, text
    line.press(ESCAPE)
    line.wait("Get activation key")
    line.press("2")
    line.wait("Save and test", f"{HOST}:{site.control.agent_port}")
    line.press(TAB + TAB + ENTER)
    text = line.wait("gRPC")
    assert "FAIL" not in text, text
    line.press("q")
    line.wait("Get activation key")
    line.press("3")
    line.wait("Server or URL")
    export = os.fsdecode(bytes(site.nfs.open))
    line.press(f"{TAB}{HOST}:{site.nfs.port}{ENTER}{export}{ENTER}{ENTER}")
    text = line.wait("READDIR")
    assert "FAIL" not in text, text
    line.press("q")
    line.wait("Get activation key")
    line.press("7")
    line.wait("l level", "INFO")
    line.press("q")
    line.wait("Get activation key")
    # Leaving it is locking it: there is no shell behind.
    line.press("q")
    line.wait("This console is locked")


def test_3_a_reboot_in_the_middle_of_a_transfer(machine, site):
    source, bucket = site.source("appliance"), site.bucket("appliance")
    expected = {}
    for number in range(24):
        content = tree.noise(number, MIB)
        tree.write(source + b"/%02d" % number, content)
        expected[f"{number:02d}"] = content
    task = site.create_task(
        site.nfs_location(source, host=HOST, agents=[site.arn]),
        site.store_location(bucket, ServerHostname=HOST, AgentArns=[site.arn]),
        {"BytesPerSecond": 512 * 1024},
    )
    site.wait_task(task, "AVAILABLE")
    execution = site.launch(task)
    half = site.wait_execution(
        execution, 300, until=lambda seen: 4 * MIB < seen.get("BytesWritten", 0) < 20 * MIB
    )
    assert half["Status"] == "TRANSFERRING", half
    machine.shut_down()
    status = site.datasync.describe_agent(AgentArn=site.arn)["Status"]
    assert status == "OFFLINE", status
    machine.start()
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": -1}
    )
    ended = site.wait_execution(execution, BOOT_SECONDS)
    assert ended["Status"] == "SUCCESS", ended
    assert ended["FilesTransferred"] == 24, ended
    client = site.store.client
    stored = {
        key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in expected
    }
    assert stored == expected
    # Activated once: port 80 stays closed, and the console knows its password.
    assert curl(machine) is None
    machine.line.wait("This console is locked", timeout=BOOT_SECONDS)
    assert accepts(machine.forwards[80]), "QEMU's own end is there"
