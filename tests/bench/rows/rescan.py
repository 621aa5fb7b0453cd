"""Entries per second and core that walk, merge and plan do over in-memory doubles."""

import os
import re
import subprocess
from pathlib import Path
from statistics import median

from bench.measures import Outcome, at_least, not_measured

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "cargo bench --locked --offline -p datasync-transfer --bench rescan".split()
WHAT = "rescan: entries/s per core against the NFS double"
ENTRIES_PER_SECOND_MIN = 250_000
SECONDS_MAX = 1800


def rescan(setting):
    if setting.smoke:
        return Outcome([not_measured(WHAT, "not part of --smoke: it is compiled for it")])
    said = subprocess.run(
        COMMAND, cwd=ROOT, env=os.environ, text=True, timeout=SECONDS_MAX, capture_output=True
    )
    if said.returncode != 0:
        return Outcome([not_measured(WHAT, f"cargo bench failed: {said.stderr[-500:]}")])
    rates = re.findall(r"(?m)^rescan: .* (\d+) entries/s of CPU", said.stdout)
    if not rates:
        return Outcome([not_measured(WHAT, "cargo bench named no entries/s")])
    rate = median(int(rate) for rate in rates)
    return Outcome([at_least(WHAT, rate, ENTRIES_PER_SECOND_MIN, digits=0)])
