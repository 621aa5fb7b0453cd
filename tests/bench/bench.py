"""The agent, reading from nfs-ganesha, against rclone, reading the same tree from local disk."""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.contestants import Ours, Rclone, Void  # noqa: E402
from bench.table import table, write_between_markers  # noqa: E402
from bench.thresholds import report, sha256_cpu_per_gib  # noqa: E402
from world import tree  # noqa: E402
from world.nfs import Nfs  # noqa: E402
from world.process import run  # noqa: E402
from world.sink import Sink  # noqa: E402
from world.site import Site  # noqa: E402

MIB = 1024 * 1024
ATTEMPTS_MAX = 3


class Workload:
    """A tree of equal files; `rclone` holds the flags of its variants."""

    def __init__(self, name, count, size, rclone):
        self.name = name
        self.count = count
        self.size = size
        self.rclone = rclone

    @property
    def bytes(self):
        return self.count * self.size

    def build(self, below):
        root = str(below).encode() + b"/" + self.name.encode()
        tree.directory(root)
        for number in range(self.count):
            directory = root
            if self.count > 1000:
                directory = tree.directory(root + b"/%03d" % (number // 1000))
            if self.size > MIB:
                tree.big(directory + b"/%06d" % number, self.size)
            else:
                tree.write(directory + b"/%06d" % number, tree.noise(number, self.size))
        return root


def workloads(smoke):
    few = ["--transfers", "4"]
    tuned = [*few, "--s3-chunk-size", "16M", "--s3-upload-concurrency", "8"]
    tuned += ["--s3-disable-checksum", "--s3-no-head"]
    # Only PutObject can be left unsigned, and only files in one piece are sent by it.
    whole = [*few, "--s3-upload-cutoff", "5G", "--multi-thread-streams", "0", "--s3-no-head"]
    large = {"defaults": few, "tuned": tuned, "one PUT per file": whole}
    many = ["--transfers", "64", "--checkers", "64"]
    small = {"--transfers 64": many, "--transfers 64, tuned": [*many, "--s3-no-head"]}
    if smoke:
        return [
            Workload("large", 2, 260 * MIB, {"tuned": tuned, "one PUT per file": whole}),
            Workload("small", 300, 4096, {"--transfers 64": many}),
        ]
    return [
        Workload("large", 4, 1024 * MIB, large),
        Workload("small", 50_000, 4096, small),
    ]


def measure(workload, contestants, sink, runs):
    """Alternates; a void run is made again. Answers the results by contestant."""
    results = {contestant.name: [] for contestant in contestants}
    for number in range(runs):
        for contestant in contestants:
            for attempt in range(ATTEMPTS_MAX):
                sink.reset()
                bucket = sink.bucket("bench")
                try:
                    result = contestant.run(workload, bucket)
                    contestant.check(workload, sink.stats(), result)
                except Void as void:
                    print(f"void: {workload.name}, {contestant.name}: {void}", flush=True)
                    if attempt == ATTEMPTS_MAX - 1:
                        raise
                    continue
                print(f"{workload.name} {number + 1}: {contestant.name}: {result}", flush=True)
                results[contestant.name].append(result)
                break
    return results


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small trees, one run, no table")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--only", choices=["large", "small"], help="one workload")
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    runs = 1 if arguments.smoke else arguments.runs
    chosen = [w for w in workloads(arguments.smoke) if arguments.only in (None, w.name)]
    with tempfile.TemporaryDirectory(prefix="datasync-bench.") as scratch:
        all_results = compete(chosen, Path(scratch), runs)
    version = run(["rclone", "version"]).stdout.splitlines()[0]
    sha256 = sha256_cpu_per_gib()
    text = table(chosen, all_results, runs, version, sha256)
    print(text)
    if not arguments.smoke and not arguments.no_write and len(chosen) == 2:
        write_between_markers(ROOT / "docs" / "benchmarks.md", text)
    return 0 if arguments.smoke or report(chosen, all_results, sha256) else 1


def compete(chosen, scratch, runs):
    logs = scratch / "logs"
    nfs, sink = Nfs(scratch / "nfs", logs), Sink(logs)
    nfs.start()
    sink.start()
    site = Site(scratch / "site", logs, nfs, sink)
    try:
        site.start()
        results = {}
        for workload in chosen:
            root = workload.build(nfs.open)
            rclones = [Rclone(name, flags, root, sink) for name, flags in workload.rclone.items()]
            results[workload.name] = measure(workload, [Ours(site, root), *rclones], sink, runs)
        return results
    except BaseException:
        for log in sorted(logs.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-30:], sep="\n")
        raise
    finally:
        site.stop()
        sink.stop()
        nfs.stop()


if __name__ == "__main__":
    sys.exit(main())
