"""Runs the blocks of a document as one shell script."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from blocks import blocks  # noqa: E402


def script(path, output):
    """One shell script of all blocks that run. Background blocks end with it, by SIGINT."""
    lines = ["set -euo pipefail"]
    waits = 0
    for block in blocks(path):
        if not block.runs:
            continue
        lines.append(f"echo '=== {path.name} line {block.line}'")
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


def run_document(path, directory, cwd, environment, seconds):
    """Answers the exit code, or that it timed out, and the output."""
    log = directory / "output"
    with open(log, "wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script(path, directory)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = shell.wait(seconds)
        except subprocess.TimeoutExpired:
            code = "timed out"
        finally:
            end(shell.pid)
    return code, log.read_text(errors="replace")


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
