"""First copies of large and of small files, against rclone, s5cmd and `aws s3 sync`."""

import hashlib
import time

from bench import trees
from bench.contestants.awscli import UNCHECKED, aws_sync
from bench.contestants.ours import Ours
from bench.contestants.rclone import LARGE, SMALL, rclones
from bench.contestants.s5cmd import s5cmd
from bench.measures import Outcome, at_least, at_most
from bench.result import GIB, first_copies, middle
from bench.table import table

# `aws s3 sync` takes minutes for 50,000.
AWS_SMALL_FILES = 5_000
RSS_MIB_MAX = 256


def large(setting):
    """4 × 1 GiB over plain HTTP."""
    tree, (ours, results) = setting.large(), _large(setting, tls=False)
    defaults = results.pop("rclone (defaults)")
    best, fastest = _best(results, "gib_per_second")
    speed = middle(ours, "gib_per_second")
    cpu = middle(ours, "cpu_seconds_per_gib")
    share = _cpu_share(ours, defaults)
    over_defaults = speed / middle(defaults, "gib_per_second")
    shown = {"datasync-agent": ours, "rclone (defaults)": defaults} | results
    return Outcome(
        [
            at_least(f"{tree}: throughput / rclone (defaults)", over_defaults, 3),
            at_least(f"{tree}: throughput / best tuned peer: {best}", speed / fastest, 2),
            at_most(f"{tree}, HTTP: CPU s/GiB", cpu, 0.5),
            at_most(f"{tree}, HTTP: CPU / rclone (defaults) without SHA-256", share, 0.2),
            _rss(tree, ours),
        ],
        [_per_gib(f"{tree}, HTTP", shown)],
    )


def large_tls(setting):
    """4 × 1 GiB over HTTPS."""
    tree, (ours, results) = setting.large(), _large(setting, tls=True)
    share = _cpu_share(ours, results["rclone (defaults)"])
    cpu = middle(ours, "cpu_seconds_per_gib")
    return Outcome(
        [
            at_most(f"{tree}, HTTPS: CPU s/GiB", cpu, 0.8),
            at_most(f"{tree}, HTTPS: CPU / rclone (defaults) without SHA-256", share, 0.3),
        ],
        [_per_gib(f"{tree}, HTTPS", {"datasync-agent": ours} | results)],
    )


def small(setting):
    """50,000 × 4 KiB over plain HTTP."""
    tree, sink = setting.small(), setting.sink
    few = setting.tree(trees.many, "small-few", 200 if setting.smoke else AWS_SMALL_FILES, 4096)
    with setting.site() as site:
        peers = [*rclones(SMALL, sink).values(), s5cmd(sink, 64)]
        contestants = [(program, tree) for program in (Ours(site), *peers)]
        contestants.append((aws_sync(sink, setting.scratch), few))
        results = first_copies(setting, "small", contestants)
    ours = results.pop("datasync-agent")
    best, fastest = _best(results, "files_per_second")
    ratio = middle(ours, "files_per_second") / fastest
    return Outcome(
        [
            at_least(f"{tree}: files/s / best tuned peer: {best}", ratio, 3),
            at_most(f"{tree}: CPU", middle(ours, "cpu_us_per_file"), 45, " µs/file", 0),
            _rss(tree, ours),
        ],
        [_per_file(tree, {"datasync-agent": ours} | results)],
    )


def _large(setting, tls):
    """The agent's results, and the peers' by name."""
    tree, sink = setting.large(), setting.sink
    variants = rclones(LARGE, sink, tls)
    if tls:
        # Over HTTPS rclone leaves parts unsigned too: nothing is gained by one PUT.
        del variants["one PUT per file"]
    peers = [*variants.values(), s5cmd(sink, 32, tls), aws_sync(sink, setting.scratch, tls)]
    peers.append(aws_sync(sink, setting.scratch, tls, checked=False))
    with setting.site() as site:
        contestants = [(program, tree) for program in (Ours(site, tls), *peers)]
        results = first_copies(setting, "large-tls" if tls else "large", contestants)
    ours = results.pop("datasync-agent")
    return ours, results


def _best(results, value):
    """Name and median of the peer with the highest, of those whose bytes are protected."""
    protected = [name for name in results if name != UNCHECKED]
    name = max(protected, key=lambda name: middle(results[name], value))
    return name, middle(results[name], value)


def _cpu_share(ours, defaults):
    """Ours, of rclone's without the SHA-256 that it spends on signing, where it signs."""
    signed = any("SHA-256" in result.signing for result in defaults)
    theirs = middle(defaults, "cpu_seconds_per_gib") - (sha256_cpu_per_gib() if signed else 0)
    return middle(ours, "cpu_seconds_per_gib") / theirs


def sha256_cpu_per_gib():
    """CPU seconds that SHA-256 over 1 GiB takes on this machine."""
    block = bytes(GIB // 16)
    began = time.process_time()
    for _ in range(16):
        hashlib.sha256(block)
    return time.process_time() - began


def _rss(tree, ours):
    """`memory_target` is 256 MiB by default."""
    peak = max(result.rss_mib for result in ours)
    return at_most(f"{tree}: peak RSS", peak, RSS_MIB_MAX, " MiB", 0)


def _per_gib(what, results):
    head = [what, "GiB/s", "CPU s/GiB"]
    return _shown(head, results, ("gib_per_second", 3), ("cpu_seconds_per_gib", 2))


def _per_file(tree, results):
    head = [str(tree), "files/s", "CPU µs/file"]
    return _shown(head, results, ("files_per_second", 0), ("cpu_us_per_file", 0))


def _shown(head, results, *columns):
    rows = []
    for name, runs in results.items():
        values = [f"{middle(runs, value):,.{digits}f}" for value, digits in columns]
        rss = max(run.rss_mib for run in runs)
        signing = "; ".join(sorted({run.signing for run in runs}))
        rows.append([name, *values, f"{rss:.0f}", f"{runs[-1].requests:,}", signing])
    return table([*head, "peak RSS MiB", "requests", "payload"], rows)
