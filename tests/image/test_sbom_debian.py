"""The list of what the appliance is made of, from a disk that is laid out as its own."""

import json
import re
from pathlib import Path

import pytest
from world.process import Failed, run

ROOT = Path(__file__).resolve().parents[2]
STATUS = """\
Package: zlib1g
Status: install ok installed
Architecture: amd64
Source: zlib
Version: 1:1.2.13.dfsg-1+b1
Description: compression library - runtime
 zlib is a library.
 .
 Package: is no field here.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
Description: left its settings

Package: apt
Status: install ok installed
Architecture: amd64
Source: apt-source (2.0)
Version: 2.6.1
Description: commandline package manager
"""


def must(command, **more):
    answer = run(command, **more)
    if answer.returncode != 0:
        raise Failed(f"{command}: {answer.returncode}: {answer.stdout}{answer.stderr}")
    return answer.stdout


@pytest.fixture(params=[STATUS])
def disk(request, tmp_path):
    """A qcow2 whose root file system has this status, where packer/base puts it."""
    root = tmp_path / "root/var/lib/dpkg"
    root.mkdir(parents=True)
    (root / "status").write_text(request.param)
    start = int(re.search(r"root_start=(\d+)", (ROOT / "packer/base").read_text()).group(1)) * 512
    raw, made = tmp_path / "raw", tmp_path / "disk.qcow2"
    with open(raw, "wb") as file:
        file.truncate(start + (8 << 20))
    options = ["-q", "-E", f"offset={start}", "-d", tmp_path / "root"]
    must(["mkfs.ext4", *options, raw, "8M"])
    must(["qemu-img", "convert", "-O", "qcow2", "-c", raw, made])
    return made


def listed(status):
    command = ["python3", ROOT / "packaging/sbom_debian.py", "appliance", "0.1.0"]
    return must(command, text_in=status)


def test_the_list_is_read_from_a_disk(disk):
    status = must([ROOT / "packer/installed", disk])
    assert status == STATUS
    document = json.loads(listed(status))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert document["metadata"]["component"]["name"] == "appliance"
    apt, zlib = document["components"]
    assert (apt["name"], apt["version"], zlib["name"]) == ("apt", "2.6.1", "zlib1g")
    assert zlib["purl"] == "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1%2Bb1?arch=amd64"
    assert zlib["description"] == "compression library - runtime"
    sources = [[found["value"] for found in one["properties"]] for one in (apt, zlib)]
    assert sources == [["apt-source", "2.0"], ["zlib", "1:1.2.13.dfsg-1+b1"]]


@pytest.mark.parametrize("disk", [""], indirect=True)
def test_a_disk_without_packages_has_no_list(disk, tmp_path):
    answer = run([ROOT / "packer/installed", disk])
    assert answer.returncode == 1 and "no list of packages" in answer.stderr, answer
    empty = tmp_path / "empty"
    must(["qemu-img", "create", "-q", "-f", "qcow2", empty, "64M"])
    answer = run([ROOT / "packer/installed", empty])
    assert answer.returncode == 1 and "super-block" in answer.stderr, answer
    command = ["python3", ROOT / "packaging/sbom_debian.py", "appliance", "0.1.0"]
    assert run(command, text_in="").returncode == 1


def test_the_list_of_this_machine_is_what_dpkg_says():
    document = json.loads(listed(Path("/var/lib/dpkg/status").read_text()))
    known = must(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"])
    expected = {
        tuple(line.split()[1:]) for line in known.splitlines() if line.startswith("installed ")
    }
    assert {(one["name"], one["version"]) for one in document["components"]} == expected
    references = [one["bom-ref"] for one in document["components"]]
    assert len(set(references)) == len(references)
    assert listed(Path("/var/lib/dpkg/status").read_text()) == json.dumps(
        document, indent=1, ensure_ascii=False
    ) + "\n"
