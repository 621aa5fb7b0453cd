"""What the agent must reach against rclone, and whether a run reached it."""

import hashlib
import time

from .table import summary

OURS = "datasync-agent"
DEFAULTS = "rclone (defaults)"
SMALL = "rclone (--transfers 64)"
SPEED_MIN = 1.5
CPU_SHARE_MAX = 0.5
SMALL_SPEED_MIN = 1.0
RSS_MIB_MAX = 256
GIB = 1024**3


def sha256_cpu_per_gib():
    """CPU seconds that SHA-256 over 1 GiB takes on this machine."""
    block = bytes(GIB // 16)
    began = time.process_time()
    for _ in range(16):
        hashlib.sha256(block)
    return time.process_time() - began


def checks(workloads, all_results, sha256):
    """(what, measured, the bound as text, whether it holds), for the workloads that were run.

    rclone signs the parts of large files, the agent does not: rclone's CPU counts without that.
    """
    gib = {workload.name: workload.bytes / GIB for workload in workloads}
    if large := all_results.get("large"):
        seconds, cpu, _ = summary(large[OURS])
        their_seconds, their_cpu, _ = summary(large[DEFAULTS])
        signed = any("SHA-256" in run.signing for run in large[DEFAULTS])
        signing = sha256 * gib["large"] if signed else 0
        yield _least("large: throughput / rclone (defaults)", their_seconds / seconds, SPEED_MIN)
        share = cpu / (their_cpu - signing)
        yield _most("large: CPU / rclone (defaults) without SHA-256", share, CPU_SHARE_MAX)
    if small := all_results.get("small"):
        ratio = summary(small[SMALL])[0] / summary(small[OURS])[0]
        yield _least("small: files/s / rclone --transfers 64", ratio, SMALL_SPEED_MIN)
    for name, results in all_results.items():
        yield _most(f"{name}: peak RSS in MiB", summary(results[OURS])[2], RSS_MIB_MAX)


def _least(what, value, bound):
    return what, value, f"at least {bound:g}", value >= bound


def _most(what, value, bound):
    return what, value, f"at most {bound:g}", value <= bound


def report(workloads, all_results, sha256):
    """Prints a line for each threshold; answers whether all hold."""
    found = list(checks(workloads, all_results, sha256))
    print("\nthresholds:")
    for what, value, bound, holds in found:
        print(f"  {'holds' if holds else 'MISSED'}: {what}: {value:.2f}, {bound}")
    return all(holds for *_, holds in found)
