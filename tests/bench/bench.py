"""Measures the agent, reading from nfs-ganesha, against programs that read local files."""

import argparse
import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench import table  # noqa: E402
from bench.contestants import awscli, ours, rclone, s5cmd  # noqa: E402
from bench.measures import Outcome, not_measured  # noqa: E402
from bench.rows import ROWS  # noqa: E402
from bench.setting import Setting  # noqa: E402

SAID_MAX = 300


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small trees, one run, no table")
    parser.add_argument("--full", action="store_true", help="up to ten million entries")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--only", choices=ROWS, action="append", help="this row; may be repeated")
    parser.add_argument("--no-write", action="store_true", help="print the tables only")
    return parser.parse_args()


def main():
    given = arguments()
    runs = 1 if given.smoke else given.runs
    with tempfile.TemporaryDirectory(prefix="datasync-bench.") as scratch:
        setting = Setting(Path(scratch), runs, given.smoke, given.full)
        outcomes = measured(setting, given.only or ROWS)
        text = shown(outcomes, runs)
        print(text, flush=True)
        if not given.smoke and not given.no_write and not given.only:
            table.write_between_markers(ROOT / "docs" / "benchmarks.md", text)
    if given.smoke:
        # Small trees show that it works, not how fast it is.
        return 1 if any(outcome.failed for outcome in outcomes) else 0
    verdicts = [measure.holds for outcome in outcomes for measure in outcome.measures]
    return 0 if all(verdicts) else 1


def shown(outcomes, runs):
    paragraphs = [paragraph for outcome in outcomes for paragraph in outcome.paragraphs]
    return "\n\n".join([head(runs), table.measures(outcomes), *paragraphs])


def measured(setting, names):
    """The outcomes of these rows; one that fails is an outcome too."""
    outcomes = []
    try:
        setting.start()
        for name in names:
            print(f"--- {name}", flush=True)
            outcomes.append(row(setting, name))
    finally:
        setting.stop()
    return outcomes


def row(setting, name):
    try:
        return ROWS[name](setting)
    # Whatever it is, it does not take the other rows' figures with it.
    except Exception as failed:
        traceback.print_exc()
        for log, lines in setting.log_tails():
            print(f"--- {log}", *lines, sep="\n")
        said = " ".join(f"{type(failed).__name__}: {failed}".split())[:SAID_MAX]
        return Outcome([not_measured(name, said)], failed=True)


def head(runs):
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `tests/bench/run` on {os.cpu_count()} cores, "
        f"Linux {platform.release()}; {rclone.version()}, {s5cmd.version()}, {awscli.version()}. "
        f"Median of {runs} alternating run(s); peak RSS, times to resume and requests are the "
        f"largest. VerifyMode={ours.VERIFY_MODE}."
    )


if __name__ == "__main__":
    sys.exit(main())
