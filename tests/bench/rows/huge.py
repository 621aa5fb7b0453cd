"""One file of 8 GiB alone, against four of 2 GiB."""

from bench import trees
from bench.contestants.ours import Ours
from bench.measures import Outcome, at_least
from bench.result import first_copies, middle
from bench.table import table

MIB = 1024 * 1024


def huge(setting):
    size = 512 * MIB if setting.smoke else 8 * 1024 * MIB
    one = setting.tree(trees.sparse, "huge-one", 1, size)
    four = setting.tree(trees.sparse, "huge-four", 4, size // 4)
    with setting.site() as site:
        programs = {tree: _Named(site, str(tree)) for tree in (one, four)}
        contestants = [(program, tree) for tree, program in programs.items()]
        results = first_copies(setting, "huge", contestants)
    rates = [middle(runs, "gib_per_second") for runs in results.values()]
    rows = []
    for (name, runs), rate in zip(results.items(), rates, strict=True):
        cpu = middle(runs, "cpu_seconds_per_gib")
        rss = max(run.rss_mib for run in runs)
        rows.append([name, f"{rate:.3f}", f"{cpu:.2f}", f"{rss:.0f}"])
    return Outcome(
        [at_least(f"{one} / {four}: throughput", rates[0] / rates[1], 0.9)],
        [table(["datasync-agent", "GiB/s", "CPU s/GiB", "peak RSS MiB"], rows)],
    )


class _Named(Ours):
    """The agent twice, under the name of what it copies."""

    def __init__(self, site, name):
        super().__init__(site)
        self.name = name
