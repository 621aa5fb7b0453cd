"""The commands and configurations in README.md and docs/*.md do what they say."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from blocks import blocks, unmarked  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENT_SECONDS = 900
RUNNABLE = [path for path in DOCUMENTS if any(block.runs for block in blocks(path))]
CONFIGURATIONS = [block for path in DOCUMENTS for block in blocks(path) if block.program]
# Reads a configuration without serving.
CHECKS = {"datasync-agent": ["check-config"], "datasync-control": ["ca", "show"]}


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_block_is_run_or_says_why_not(path):
    faults = [fault for block in blocks(path) if (fault := block.fault())]
    faults += [f"{place}: write it as ```sh, ```hcl or ```toml" for place in unmarked(path)]
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


def script(path, output):
    """One shell script of all blocks that run. Background blocks end with it, by SIGINT."""
    lines = ["set -euo pipefail"]
    waits = 0
    for block in blocks(path):
        if not block.runs:
            continue
        lines.append(f"echo '=== {name(path)} line {block.line}'")
        if block.until is None:
            lines.append(block.body)
            continue
        waits += 1
        log = f"{output}/background-{waits}"
        lines.append(f"( set -e\n{block.body}\n) > {log} 2>&1 &")
        lines.append(f"pid_{waits}=$!")
        lines.append(
            f"for _ in $(seq 6000); do grep -qF -- {block.until!r} {log} && break; "
            f"kill -0 $pid_{waits} || {{ cat {log}; exit 1; }}; sleep 0.1; done; cat {log}; "
            f"grep -qF -- {block.until!r} {log}"
        )
    return "\n".join(lines) + "\n"


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
    log = tmp_path / "output"
    with open(log, "wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script(path, tmp_path)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = shell.wait(DOCUMENT_SECONDS)
        except subprocess.TimeoutExpired:
            code = "timed out"
        finally:
            end(shell.pid)
    assert code == 0, f"{name(path)}: {code}\n{log.read_text(errors='replace')[-6000:]}"


def end(group):
    """Ctrl-C for what is left of a process group, then SIGKILL."""
    for number, seconds in ((signal.SIGINT, 10), (signal.SIGKILL, 1)):
        try:
            os.killpg(group, number)
            for _ in range(seconds * 10):
                time.sleep(0.1)
                os.killpg(group, 0)
        except ProcessLookupError:
            return
