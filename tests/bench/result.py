"""One measured run, what makes it void, and medians over several."""

from dataclasses import dataclass
from statistics import median

ATTEMPTS_MAX = 3
GIB = 1024**3


class Void(Exception):
    """The run is not comparable: errors, retries, or not everything arrived."""


@dataclass
class Result:
    """One run of one contestant over one tree."""

    tree: object
    seconds: float
    cpu_seconds: float
    rss_mib: float
    requests: int = 0
    signing: str = ""

    @property
    def gib_per_second(self):
        return self.tree.bytes / GIB / self.seconds

    @property
    def files_per_second(self):
        return self.tree.count / self.seconds

    @property
    def cpu_seconds_per_gib(self):
        return self.cpu_seconds / (self.tree.bytes / GIB)

    @property
    def cpu_us_per_file(self):
        return self.cpu_seconds / self.tree.count * 1e6

    def __str__(self):
        return (
            f"{self.seconds:.2f} s, {self.cpu_seconds:.2f} CPU s, {self.rss_mib:.0f} MiB, "
            f"{self.requests} requests, {self.signing}"
        )


def middle(results, value):
    """The median of a value of each run, named as a property of `Result`."""
    return median(getattr(result, value) for result in results)


def operations(stats):
    """What the sink was asked for, by operation of S3, without the probe of a store."""
    counts = stats["counts"].items()
    return {
        name.removeprefix("operation "): count
        for name, count in counts
        if name.startswith("operation ")
    }


def untroubled(stats):
    """Void if a body was cut off or the sink failed."""
    counts = stats["counts"]
    if counts.get("bodies cut off"):
        raise Void(f"{counts['bodies cut off']} bodies were cut off")
    failed = {name: count for name, count in counts.items() if name.startswith("answers 5")}
    if failed:
        raise Void(f"the sink failed: {failed}")


def complete(tree, stats, directories):
    """Void unless every file arrived, and nothing but files and `directories` at most."""
    untroubled(stats)
    if stats["bytes"] != tree.bytes:
        raise Void(f"{stats['bytes']} of {tree.bytes} bytes arrived")
    if not tree.count <= stats["objects"] <= tree.count + directories:
        raise Void(f"{stats['objects']} objects for {tree.count} files")


def again_if_void(what, measured):
    """Calls `measured` until it is not void; answers what it answered."""
    for attempt in range(ATTEMPTS_MAX):
        try:
            return measured()
        except Void as void:
            print(f"void: {what}: {void}", flush=True)
            if attempt == ATTEMPTS_MAX - 1:
                raise


def first_copies(setting, row, contestants):
    """Each contestant, a (program, tree) pair, copies into an empty store, in turn; answers the
    results by name."""
    results = {program.name: [] for program, _ in contestants}
    for number in range(setting.runs):
        for program, tree in contestants:
            what = f"{row} {number + 1}: {program.name}"
            result = again_if_void(what, lambda: _first_copy(setting.sink, program, tree))
            print(f"{what}: {result}", flush=True)
            results[program.name].append(result)
    return results


def _first_copy(sink, program, tree):
    sink.reset()
    result = program.copy(tree, sink.bucket("bench"))
    stats = sink.stats()
    complete(tree, stats, program.directory_objects(tree))
    counted(result, stats)
    return result


def counted(result, stats):
    """Fills in what the sink counted."""
    counts = stats["counts"].items()
    result.requests = sum(count for name, count in counts if name.startswith("requests "))
    signing = {name.removeprefix("payload ") for name, _ in counts if name.startswith("payload ")}
    result.signing = ", ".join(sorted(signing))
