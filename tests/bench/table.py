"""The table of docs/benchmarks.md."""

import os
import platform
from datetime import UTC, datetime
from statistics import median

from .contestants import VERIFY_MODE

BEGIN = "<!-- written by tests/bench/run: begin -->"
END = "<!-- written by tests/bench/run: end -->"
GIB = 1024**3


def _rows(workload, results):
    per_file = workload.size < 1024 * 1024
    speed = "files/s" if per_file else "GiB/s"
    cpu = "CPU µs/file" if per_file else "CPU s/GiB"
    head = f"{workload.count:,} × {_size(workload.size)} | {speed} | {cpu} | peak RSS MiB"
    yield f"| {head} | requests | payload signing |"
    yield "|---|---|---|---|---|---|"
    for name, runs in results.items():
        seconds, used, rss = summary(runs)
        signing = "; ".join(sorted({run.signing for run in runs}))
        if per_file:
            values = f"{workload.count / seconds:,.0f} | {used / workload.count * 1e6:,.0f}"
        else:
            gib = workload.bytes / GIB
            values = f"{gib / seconds:.3f} | {used / gib:.2f}"
        yield f"| {name} | {values} | {rss:.0f} | {runs[-1].requests:,} | {signing} |"


def summary(runs):
    """Median seconds, median CPU seconds, and the largest peak RSS in MiB."""
    return (
        median(run.seconds for run in runs),
        median(run.cpu_seconds for run in runs),
        max(run.rss_mib for run in runs),
    )


def _size(size):
    for unit, name in ((GIB, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def table(workloads, all_results, runs, rclone_version, sha256):
    """Medians; the peak RSS is the largest of all runs."""
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `tests/bench/run` on {os.cpu_count()} cores, "
        f"Linux {platform.release()}; {rclone_version}; median of {runs} alternating run(s), "
        f"peak RSS the largest. VerifyMode={VERIFY_MODE}. Plain HTTP. Where payloads are signed, "
        f"SHA-256 costs {sha256:.2f} CPU s/GiB here.",
    ]
    for workload in workloads:
        lines += ["", *_rows(workload, all_results[workload.name])]
    return "\n".join(lines)


def write_between_markers(path, text):
    """Replaces what stands between the markers; a file without them is an error."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} lacks the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
