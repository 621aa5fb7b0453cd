"""What a release consists of, and what its programs are made of."""

import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from world.process import Failed, run

ROOT = Path(__file__).resolve().parents[2]
LOCKED = {
    (name, version)
    for name, version in re.findall(
        r'\[\[package\]\]\nname = "(.+)"\nversion = "(.+)"', (ROOT / "Cargo.lock").read_text()
    )
}


@pytest.fixture(scope="module")
def appliance(tmp_path_factory):
    """What packer/build makes, with a disk that is none."""
    folder = tmp_path_factory.mktemp("appliance")
    for end, content in (("qcow2", b"a disk"), ("cdx.json", b"{}")):
        (folder / f"datasync-agent-0.1.0-amd64.{end}").write_bytes(content)
    assert run(["sh", "-c", 'cd "$0" && sha256sum * >SHA256SUMS', folder]).returncode == 0
    return folder


@pytest.fixture(scope="module")
def release(engine, manual, appliance, tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "made"
    environment = os.environ | engine.environment | {
        "SOURCE_DATE_EPOCH": "1700000000",
        "CARGO_NET_OFFLINE": "true",
    }
    key = folder.parent / "key.pem"
    assert run([ROOT / "packaging/bundle", "--new-key", key]).returncode == 0
    command = [
        ROOT / "packaging/release", "--binaries", os.environ["DATASYNC_STATIC"],
        "--manual", manual, "--appliance", appliance, "--release-key", key, folder,
    ]
    answer = run(command, timeout=900, env=environment)
    if answer.returncode != 0:
        raise Failed(f"packaging/release: {answer.stdout}{answer.stderr}")
    return folder


def test_everything_is_there_and_summed(release, appliance):
    names = {path.name for path in release.iterdir()}
    for program in ("datasync-agent", "datasync-control"):
        assert {
            f"{program}-0.1.0-amd64.docker.tar",
            f"{program}-0.1.0-amd64.oci.tar",
            f"{program}_0.1.0_amd64.deb",
            f"{program}-x86_64-unknown-linux-musl",
            f"{program}.cdx.json",
        } <= names
    assert "datasync-agent-0.1.0-x86_64.update" in names
    assert {path.name for path in appliance.iterdir()} <= names
    summed = {line.split()[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    assert summed == names - {"SHA256SUMS"}
    checked = run(["sh", "-c", 'cd "$0" && sha256sum --check --strict --quiet SHA256SUMS', release])
    assert checked.returncode == 0, checked


def test_man_pages_and_completions_are_in_the_archive(release, manual):
    with tarfile.open(release / "datasync-manual-0.1.0.tar.gz") as archive:
        packed = {member.name.removeprefix("./") for member in archive if member.isfile()}
        assert {member.mtime for member in archive.getmembers()} == {1700000000}
    assert packed == {str(path.relative_to(manual)) for path in manual.rglob("*") if path.is_file()}
    assert {"man/man1/datasync-agent.1", "man/man1/datasync-control.1"} <= packed


def test_images_of_the_vm_that_are_damaged_are_no_part_of_a_release(appliance, tmp_path):
    damaged = tmp_path / "appliance"
    shutil.copytree(appliance, damaged)
    (damaged / "datasync-agent-0.1.0-amd64.qcow2").write_bytes(b"another disk")
    command = [ROOT / "packaging/release", "--appliance", damaged, tmp_path / "made"]
    answer = run(command, timeout=60)
    assert answer.returncode != 0 and "FAILED" in answer.stdout, answer
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("program", ["datasync-agent", "datasync-control"])
def test_the_list_names_what_is_linked_and_nothing_else(release, program):
    document = json.loads((release / f"{program}.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert document["metadata"]["component"]["name"] == program
    components = document["components"]
    assert {(c["name"], c["version"]) for c in components} <= LOCKED
    names = {component["name"] for component in components}
    assert {"tokio", "rustls", "aws-lc-rs", "datasync-model"} <= names
    # Macros, tests, and the other program's.
    assert not names & {"syn", "proptest", "tempfile", "quickstart-store"}
    assert ("libsqlite3-sys" in names) == (program == "datasync-control")
    assert ("ratatui" in names) == (program == "datasync-agent")
    references = {c["bom-ref"] for c in components} | {document["metadata"]["component"]["bom-ref"]}
    assert {entry["ref"] for entry in document["dependencies"]} == references
    for entry in document["dependencies"]:
        assert set(entry["dependsOn"]) <= references
