"""What is in the folder, and what must not be in the image."""

import hashlib
import json
import re
import tarfile
import xml.etree.ElementTree as ElementTree

import pytest
from test_platforms import EVERY_PROPERTY
from world.disks import mounted
from world.process import run

MIB = 1024 * 1024
QCOW2_MAX = 250 * MIB
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


@pytest.fixture(scope="module")
def system(disk, tmp_path_factory):
    """The image's files."""
    with mounted(disk, tmp_path_factory.mktemp("system") / "image.raw") as system:
        yield system


def test_the_image_is_small(disk):
    assert disk.stat().st_size <= QCOW2_MAX, disk.stat().st_size


def test_every_format_holds_the_same_disk(images, disk, tmp_path):
    sums = dict(reversed(line.split()) for line in (images / "SHA256SUMS").read_text().splitlines())
    assert sorted(path.rpartition(".")[2] for path in sums) == ["json", "ova", "qcow2", "raw", "vhdx"]
    for name, expected in sums.items():
        with open(images / name, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == expected, name
    with tarfile.open(next(images.glob("*.ova"))) as archive:
        archive.extractall(tmp_path, filter="data")
    others = [*images.glob("*.raw"), *images.glob("*.vhdx"), *tmp_path.glob("*.vmdk")]
    assert len(others) == 3
    for other in others:
        answer = run(["qemu-img", "compare", disk, other], timeout=300)
        assert answer.returncode == 0, f"{other}: {answer.stdout}"


def test_the_list_of_packages_is_that_of_the_image(images, system):
    [listed] = images.glob("*.cdx.json")
    components = json.loads(listed.read_text())["components"]
    named = {(component["name"], component["version"]) for component in components}
    status = (system / "var/lib/dpkg/status").read_text().split("\n\n")
    fields = [dict(re.findall(r"^(\S+): (.*)$", paragraph, re.M)) for paragraph in status]
    there = {
        (found["Package"], found["Version"])
        for found in fields
        if found.get("Status") == "install ok installed"
    }
    assert {"datasync-agent", "nftables"} <= {name for name, _ in there}
    assert named == there


def test_the_ova_is_what_importers_expect(images, tmp_path):
    with tarfile.open(next(images.glob("*.ova"))) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert [name.rpartition(".")[2] for name in names] == ["ovf", "mf", "vmdk"]
    for line in (tmp_path / names[1]).read_text().splitlines():
        name, _, expected = line.removeprefix("SHA256(").partition(")= ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == expected, line
    envelope = ElementTree.parse(tmp_path / names[0]).getroot()
    file = envelope.find(f"{OVF}References/{OVF}File")
    assert int(file.get(f"{OVF}size")) == (tmp_path / names[2]).stat().st_size
    described = json.loads(run(["qemu-img", "info", "--output=json", tmp_path / names[2]]).stdout)
    capacity = envelope.find(f"{OVF}DiskSection/{OVF}Disk").get(f"{OVF}capacity")
    assert int(capacity) == described["virtual-size"]
    properties = {found.get(f"{OVF}key"): found for found in envelope.iter(f"{OVF}Property")}
    # All that a form has means something: test_platforms.py gives a machine each of them.
    assert set(properties) == set(EVERY_PROPERTY)
    secrets = {key for key, found in properties.items() if found.get(f"{OVF}password")}
    assert secrets == {"activation_key", "proxy"}


def test_nothing_of_the_build_is_left(system):
    shadow = (system / "etc/shadow").read_text().splitlines()
    passwords = [line.split(":")[1] for line in shadow]
    assert all(password[:1] in ("*", "!") for password in passwords), shadow
    for gone in ("usr/sbin/sshd", "usr/bin/ssh", "etc/ssh", "root/.ssh", "run/payload"):
        assert not (system / gone).exists(), gone
    assert (system / "etc/machine-id").read_text() == ""
    assert not list((system / "var/log/journal").glob("*"))
    assert not list((system / "var/lib/datasync-agent").glob("*"))


def test_nobody_can_log_in(system):
    units = system / "etc/systemd/system"
    for unit in ("getty@.service", "serial-getty@.service", "debug-shell.service"):
        assert (units / unit).readlink().name == "null", unit
    wanted = {path.name for path in (units / "multi-user.target.wants").iterdir()}
    assert {"datasync-console@tty1.service", "datasync-console@ttyS0.service"} <= wanted


def test_its_system_is_updated_and_restarted_only_while_the_agent_is_idle(system):
    """What `idle` answers is held by tests/e2e/test_updates.py."""
    units = system / "etc/systemd/system"
    updates = (units / "apt-daily-upgrade.service.d/appliance.conf").read_text()
    assert "ExecCondition=/usr/bin/datasync-agent idle\n" in updates
    restart = (units / "datasync-restart.service").read_text()
    command = "ExecStart=/usr/bin/systemctl --no-block reboot\n"
    assert f"ExecCondition=/usr/bin/datasync-agent idle\n{command}" in restart, restart
    assert (units / "timers.target.wants/datasync-restart.timer").is_symlink()
    apt = (system / "etc/apt/apt.conf.d/60appliance").read_text()
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in apt
    asked = run(["chroot", system, "apt-config", "dump", "Unattended-Upgrade::Origins-Pattern"])
    assert "Debian-Security" in asked.stdout, asked
    sources = "".join(path.read_text() for path in (system / "etc/apt").rglob("*sources*") if path.is_file())
    assert "security" in sources, sources
