"""Peak RSS in a memory cgroup, from a thousand entries to millions."""

from bench.contestants.ours import Ours
from bench.measures import Outcome, at_most, not_measured
from bench.result import Void
from bench.table import table
from bench.trees import Tree
from world.cgroup import Cgroup
from world.nas import Nas
from world.process import Failed

RSS_MIB_MAX = 128
# What may come on top between a tree that has filled every buffer and the largest.
GROWTH_MIB_MAX = 16
# Limit of the group in MiB, and `memory_target`, or None for the default.
GROUPS = {"128 MiB, target 96 MiB": (128, "96MiB"), "512 MiB, target by default": (512, None)}
PER_DIRECTORY = 1000


def memory(setting):
    sizes = [1_000, 100_000, 1_000_000]
    if setting.smoke:
        sizes = [1_000, 3_000]
    if setting.full:
        sizes.append(5_000_000)
    measures, rows = [], []
    for name, (limit, target) in GROUPS.items():
        try:
            group = Cgroup(limit)
        except Failed as failed:
            measures.append(not_measured(f"RSS, {name}", str(failed)))
            continue
        peaks = _peaks(setting, group, target, sizes)
        rows.append([name, *(f"{peak:.0f}" for peak in peaks)])
        of = f"RSS, {sizes[0]:,} to {sizes[-1]:,} entries, {name}"
        measures.append(at_most(f"{of}: peak", max(peaks), RSS_MIB_MAX, " MiB", 0))
        # A thousand entries do not fill the buffers.
        growth = peaks[-1] - peaks[1]
        of = f"RSS, from {sizes[1]:,} entries on, {name}"
        measures.append(at_most(f"{of}: growth", growth, GROWTH_MIB_MAX, " MiB", 0))
    head = ["peak RSS in MiB, cgroup of", *(f"{size:,} entries" for size in sizes)]
    return Outcome(measures, [table(head, rows)])


def _peaks(setting, group, target, sizes):
    """One agent for each size: a peak is that of a process."""
    peaks = []
    try:
        for entries in sizes:
            with setting.site(group.command, memory_target=target) as site:
                peak = _peak(setting, site, entries)
            print(f"memory: {entries:,} entries, target {target}: {peak:.0f} MiB", flush=True)
            peaks.append(peak)
        if group.oom_kills():
            raise Void("the kernel killed a process of the group")
    finally:
        group.remove()
    return peaks


def _peak(setting, site, entries):
    """Copies all, then nothing."""
    nas = Nas(entries // PER_DIRECTORY, PER_DIRECTORY, 0, setting.logs).start()
    try:
        ours, tree = Ours(site, host=nas.host), Tree(b"/", entries, 0)
        task = ours.task(tree.root, setting.sink.bucket("memory"))
        ours.execute(task, tree)
        objects = setting.sink.stats()["objects"]
        if not entries <= objects <= entries + tree.directories:
            raise Void(f"{objects} objects for {entries} entries")
        return ours.execute(task, tree).rss_mib
    finally:
        nas.stop()
