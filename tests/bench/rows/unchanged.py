"""A second run over a tree in which nothing changed, against rclone; and what the catalog takes."""

from bench import trees
from bench.contestants.ours import Ours
from bench.contestants.rclone import UNCHANGED, rclones
from bench.measures import Outcome, at_least, at_most
from bench.result import Void, again_if_void, counted, middle, operations, untroubled
from bench.table import table

LISTS = ("ListObjects", "ListObjectsV2")
WRITES = ("PutObject", "CopyObject", "CreateMultipartUpload", "DeleteObject", "DeleteObjects")
CATALOG_BYTES_MAX = 64
# The variants that compare the file's own time, as the agent does; one of them fills the bucket.
COMPARABLE = ("defaults", "--checkers 64")


def unchanged(setting):
    tree = setting.tree(trees.many, "unchanged", 2_000 if setting.smoke else 200_000, 16)
    peers = rclones(UNCHANGED, setting.sink)
    with setting.site() as site:
        ours, seconds = Ours(site), _SecondRuns(setting, tree)
        opening = _lists_of_opening(setting, ours)
        task = _filled_by_us(setting.sink, ours, tree)
        bucket = setting.sink.bucket("filled-by-rclone")
        again_if_void("filled by rclone", lambda: peers[COMPARABLE[-1]].copy(tree, bucket))
        for _ in range(setting.runs):
            ours.restart(task)
            seconds.measure(ours.name, lambda: ours.execute(task, tree))
            for peer in peers.values():
                seconds.measure(peer.name, lambda: peer.copy(tree, bucket))
        catalog = _catalog_bytes(site)
    comparable = [peers[variant].name for variant in COMPARABLE]
    measures = _speed(seconds, ours.name, comparable)
    measures += _requests(seconds, ours.name, opening)
    each = catalog / (tree.count + tree.directories)
    measures.append(at_most("catalog per unchanged entry", each, CATALOG_BYTES_MAX, " bytes", 1))
    return Outcome(measures, [seconds.shown([ours, *peers.values()])])


def _lists_of_opening(setting, ours):
    """The LIST requests that open a location: what a second run over one file takes, but one."""
    tree = setting.tree(trees.many, "one", 1, 16)
    task = _filled_by_us(setting.sink, ours, tree)
    ours.restart(task)
    setting.sink.forget_counts()
    ours.execute(task, tree)
    found = operations(setting.sink.stats())
    # Or control would try it, and open its locations, whenever the agent comes back.
    ours.site.datasync.delete_task(TaskArn=task)
    return sum(found.get(name, 0) for name in LISTS) - 1


def _filled_by_us(sink, ours, tree):
    """The task whose bucket is full: its locations are what the catalog belongs to."""
    task = ours.task(tree.root, sink.bucket(f"filled-by-us-{tree.count}"))
    again_if_void("filled by us", lambda: ours.execute(task, tree))
    return task


def _catalog_bytes(site):
    """Of the larger tree."""
    catalogs = (site.agent.state / "history").glob("*.catalog")
    return max(path.stat().st_size for path in catalogs)


def _speed(seconds, ours, comparable):
    fastest = min(comparable, key=seconds.median)
    ratio = seconds.median(fastest) / seconds.median(ours)
    return [at_least(f"{seconds.tree.count:,} unchanged: speed / {fastest}", ratio, 10)]


def _requests(seconds, ours, opening):
    tree = seconds.tree
    heads = seconds.most(ours, ["HeadObject"])
    lists = seconds.most(ours, LISTS) - opening
    lists_max = (tree.count + tree.directories) // 1000 + 1
    what = f"{tree.count:,} unchanged"
    without = f"without {opening} that open the location"
    return [
        at_most(f"{what}: HEAD", heads, 0, digits=0),
        at_most(f"{what}: LIST, {without}", lists, lists_max, digits=0),
    ]


class _SecondRuns:
    """Results and operations of each contestant's runs."""

    def __init__(self, setting, tree):
        self.sink = setting.sink
        self.tree = tree
        self.results = {}
        self.operations = {}

    def measure(self, name, run):
        result, found = again_if_void(f"unchanged: {name}", lambda: self._once(run))
        print(f"unchanged: {name}: {result}", flush=True)
        self.results.setdefault(name, []).append(result)
        self.operations.setdefault(name, []).append(found)

    def _once(self, run):
        self.sink.forget_counts()
        result = run()
        stats = self.sink.stats()
        untroubled(stats)
        found = operations(stats)
        if wrote := [operation for operation in WRITES if operation in found]:
            raise Void(f"something was written: {wrote}")
        counted(result, stats)
        return result, found

    def median(self, name):
        return middle(self.results[name], "seconds")

    def most(self, name, operations):
        """The most requests of these operations that a run took."""
        return max(sum(run.get(name, 0) for name in operations) for run in self.operations[name])

    def shown(self, contestants):
        rows = []
        for name in (contestant.name for contestant in contestants):
            runs = self.results[name]
            cpu = middle(runs, "cpu_us_per_file")
            rss = max(run.rss_mib for run in runs)
            rate = f"{middle(runs, 'files_per_second'):,.0f}"
            requests = [f"{self.most(name, LISTS):,}", f"{self.most(name, ['HeadObject']):,}"]
            seconds = f"{self.median(name):.2f}"
            rows.append([name, seconds, rate, f"{cpu:,.1f}", f"{rss:.0f}", *requests])
        head = [f"{self.tree.count:,} unchanged", "seconds", "files/s", "CPU µs/file"]
        return table([*head, "peak RSS MiB", "LIST", "HEAD"], rows)
