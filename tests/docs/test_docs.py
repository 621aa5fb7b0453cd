"""The commands and configurations in README.md and docs/*.md do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from blocks import LANGUAGES, blocks, unmarked  # noqa: E402
from shell import run_document  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "image" / "README.md",
    ROOT / "packer" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
DOCUMENT_SECONDS = 900
# They need images and an engine: tests/image runs them.
OF_IMAGES = [ROOT / "docs" / "deploy" / name for name in ("podman.md", "docker.md")]
RUNNABLE = [
    path
    for path in DOCUMENTS
    if path not in OF_IMAGES and any(block.runs for block in blocks(path))
]
SEEDS = [block for path in DOCUMENTS for block in blocks(path) if block.is_seed]
CONFIGURATIONS = [block for path in DOCUMENTS for block in blocks(path) if block.program]
# Reads a configuration without serving.
CHECKS = {"datasync-agent": ["check-config"], "datasync-control": ["ca", "show"]}


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_block_is_run_or_says_why_not(path):
    faults = [fault for block in blocks(path) if (fault := block.fault())]
    faults += [f"{place}: write it as one of {LANGUAGES}" for place in unmarked(path)]
    assert not faults, "\n".join(faults)


def check(block, directory, more=""):
    """What its program says to the configuration; its paths are made below `directory`."""
    for path in re.findall(r'"(/[^"]*)"', block.body):
        made = Path(f"{directory}{path}")
        made.parent.mkdir(parents=True, exist_ok=True)
        if made.suffix == ".pem":
            command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x"]
            subprocess.run(
                [*command, "-keyout", os.devnull, "-out", made], check=True, capture_output=True
            )
    file = directory / "configuration.toml"
    file.write_text(more + re.sub(r'"(/[^"]*)"', rf'"{directory}\1"', block.body))
    program = Path(os.environ["DATASYNC_BIN_DIR"]) / block.program
    command = [program, *CHECKS[block.program], "--config", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_there_are_configurations():
    assert {block.program for block in CONFIGURATIONS} == set(CHECKS)


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda b: f"{name(b.path)}:{b.line}")
def test_configurations_are_valid(block, tmp_path):
    answer = check(block, tmp_path)
    assert answer.returncode == 0, answer
    refused = check(block, tmp_path, more="surprise = 1\n")
    assert refused.returncode == 64 and "surprise" in refused.stderr, refused


def first_boot(directory, text):
    """What the agent says to a seed with these settings; it writes below `directory`."""
    seed = directory / "seed"
    seed.mkdir()
    (seed / "user-data").write_text(text)
    (seed / "meta-data").write_text("instance-id: documented\n")
    root = directory / "root"
    root.mkdir()
    program = Path(os.environ["DATASYNC_BIN_DIR"]) / "datasync-agent"
    command = [program, "firstboot", "--seed", seed, "--root", root]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_there_are_seeds():
    assert SEEDS


@pytest.mark.parametrize("block", SEEDS, ids=lambda b: f"{name(b.path)}:{b.line}")
def test_seeds_are_carried_out(block, tmp_path):
    for folder, text in (("good", block.body), ("bad", block.body + "  surprise: 1\n")):
        (tmp_path / folder).mkdir()
        answer = first_boot(tmp_path / folder, text)
        if folder == "good":
            assert answer.returncode == 0 and "is carried out" in answer.stdout, answer
        else:
            assert answer.returncode == 1 and "surprise" in answer.stderr, answer


@pytest.mark.timeout(DOCUMENT_SECONDS + 60)
@pytest.mark.parametrize("path", RUNNABLE, ids=name)
def test_commands_work(path, tmp_path):
    environment = dict(os.environ) | {
        "HOME": str(tmp_path),
        "CARGO_NET_OFFLINE": "true",
        "CARGO_HOME": os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup")),
        "PATH": f"{os.environ['DATASYNC_BIN_DIR']}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
    }
    code, output = run_document(path, tmp_path, ROOT, environment, DOCUMENT_SECONDS)
    assert code == 0, f"{name(path)}: {code}\n{output[-6000:]}"
