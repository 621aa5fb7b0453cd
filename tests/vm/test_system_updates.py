"""Updates of the operating system, from a mirror of this world: which the image's rules admit, and that they
wait for the agent."""

import pytest
from world import seeds, tree
from world.disks import mounted
from world.machine import Machine
from world.mirror import Mirror, package
from world.process import free_port, run, wait_until

HOST = "10.0.2.2"
BOOT_SECONDS = 300
MIB = 1024 * 1024
NAME = "updated-agent"
SUITES = {
    # What Debian says of its own.
    "bookworm-security": {"Origin": "Debian", "Label": "Debian-Security"},
    "elsewhere": {"Origin": "Elsewhere", "Label": "Elsewhere"},
}
# Each suite has version 2 of this one.
PACKAGES = {"bookworm-security": "datasync-fixed", "elsewhere": "datasync-foreign"}
# It is asked every few seconds; what the mirror is asked for tells how often.
UNITS = {
    "apt-daily-upgrade.timer.d/zz-test.conf": "[Timer]\nOnCalendar=\nOnBootSec=1\nOnUnitInactiveSec=2\n"
    "RandomizedDelaySec=0\n",
    "apt-daily-upgrade.service.d/00-test.conf": "[Service]\n"
    "ExecCondition=/usr/bin/apt-get update --error-on=any\n",
}


@pytest.fixture(scope="module")
def mirror(machines):
    made = Mirror(machines / "mirror", free_port())
    for suite, said in SUITES.items():
        made.add(suite, [package(machines, PACKAGES[suite], "2")], **said)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def disk_of_the_mirror(disk, machines, mirror):
    """The image with older versions of both packages, whose sources are the mirror."""
    raw = machines / "updated.raw"
    with mounted(disk, raw, writable=True) as system:
        for name in PACKAGES.values():
            old = package(machines, name, "1")
            (system / "tmp" / old.name).write_bytes(old.read_bytes())
            answer = run_in(system, ["dpkg", "-i", f"/tmp/{old.name}"])
            assert answer.returncode == 0, answer.stderr
        lines = [f"deb [trusted=yes] http://{HOST}:{mirror.port}/ {suite} main\n" for suite in SUITES]
        (system / "etc/apt/sources.list").write_text("".join(lines))
        for path, content in UNITS.items():
            unit = system / "etc/systemd/system" / path
            unit.parent.mkdir(exist_ok=True)
            unit.write_text(content)
    return raw


def run_in(system, command):
    return run(["chroot", system, *command])


@pytest.fixture(scope="module")
def machine(disk_of_the_mirror, site, machines, module_logs):
    seed = seeds.nocloud(
        machines / "updated.img",
        user_data="#cloud-config\ndatasync:\n"
        f"  control: {HOST}:{site.control.agent_port}\n"
        f"  control_fingerprint: '{site.control.fingerprint}'\n"
        f"  activation_key: {site.control.create_activation_key('--agent-name', NAME)}\n",
    )
    made = Machine("updated", disk_of_the_mirror, machines, module_logs, [seed]).start()
    try:
        yield made
    finally:
        made.pull_the_plug()


def installed(system, name):
    status = (system / "var/lib/dpkg/status").read_text()
    [paragraph] = [text for text in status.split("\n\n") if text.startswith(f"Package: {name}\n")]
    [version] = [line for line in paragraph.splitlines() if line.startswith("Version: ")]
    return version.removeprefix("Version: ")


def test_they_wait_for_the_agent_and_are_those_of_debian_alone(machine, site, mirror, machines):
    def online():
        agents = site.datasync.list_agents()["Agents"]
        return [agent["AgentArn"] for agent in agents if (agent["Name"], agent["Status"]) == (NAME, "ONLINE")]

    arns = machine.server.wait_for("ONLINE", online, BOOT_SECONDS)
    source, bucket = site.source("updated"), site.bucket("updated")
    for number in range(16):
        tree.write(source + b"/%02d" % number, tree.noise(number, MIB))
    task = site.create_task(
        site.nfs_location(source, host=HOST, agents=arns),
        site.store_location(bucket, ServerHostname=HOST, AgentArns=arns),
        {"BytesPerSecond": 64 * 1024},
    )
    site.wait_task(task, "AVAILABLE")
    execution = site.launch(task)
    site.wait_execution(execution, 120, until=lambda seen: seen["Status"] == "TRANSFERRING")
    mirror.start()

    def times_asked():
        return mirror.asked.count("/dists/bookworm-security/Release")

    def fetched():
        return {path for path in mirror.asked if path.startswith("/pool/")}

    # The third time is asked once the second was refused.
    wait_until("the mirror is asked", lambda: times_asked() >= 3, 180)
    assert site.describe(execution)["Status"] == "TRANSFERRING"
    assert fetched() == set()
    site.datasync.update_task_execution(TaskExecutionArn=execution, Options={"BytesPerSecond": -1})
    assert site.wait_execution(execution, 120)["Status"] == "SUCCESS"
    wait_until("the update is fetched", fetched, 180)
    before = times_asked()
    # The next time is asked once the update is installed.
    wait_until("the mirror is asked again", lambda: times_asked() > before, 180)
    machine.shut_down()
    assert fetched() == {"/pool/datasync-fixed_2_all.deb"}
    with mounted(machine.disk, machines / "after.raw") as system:
        assert installed(system, "datasync-fixed") == "2"
        assert installed(system, "datasync-foreign") == "1"
