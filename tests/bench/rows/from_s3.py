"""From a bucket to NFS, all of it committed, against rclone that copies to the server's own disk."""

import os
import shutil
from contextlib import contextmanager
from types import SimpleNamespace

from bench.contestants.ours import OPTIONS, Ours
from bench.contestants.rclone import BACK_LARGE, BACK_SMALL, LARGE, SMALL, rclones, rclones_back
from bench.measures import Outcome, at_least
from bench.result import Void, again_if_void, middle
from bench.table import table
from bench.trees import Tree
from world.nfs import on_overlay
from world.nfs4 import Nfs4
from world.process import run
from world.store import Store

SHARE_MIN = 0.8
# Heading, property of a result, digits.
OF_LARGE = [("GiB/s", "gib_per_second", 3), ("CPU s/GiB", "cpu_seconds_per_gib", 2)]
OF_SMALL = [("files/s", "files_per_second", 0), ("CPU µs/file", "cpu_us_per_file", 0)]


def from_s3(setting):
    """4 × 1 GiB and 50,000 × 4 KiB, by turns."""
    large, small = setting.large(), setting.small()
    kept = Store(setting.scratch / "from-s3", setting.logs)
    kept.start()
    try:
        with _exported(setting) as server, setting.site(store=kept) as site:
            ours = _ToNfs(site, server)
            fill = rclones({"large": LARGE["tuned"], "small": SMALL["--transfers 64"]}, kept)
            peers = rclones_back(BACK_LARGE, kept).values()
            of_large = _measured(setting, server, [ours, *peers], large, fill["large"])
            peers = rclones_back(BACK_SMALL, kept).values()
            of_small = _measured(setting, server, [ours, *peers], small, fill["small"])
    finally:
        kept.stop()
    return Outcome(
        [
            _share(f"{large}: from S3 to NFS / best of rclone to disk", of_large, "gib_per_second"),
            _share(f"{small}: from S3 to NFS / rclone to disk", of_small, "files_per_second"),
        ],
        [
            _shown(f"{large}, from S3", of_large, OF_LARGE),
            _shown(f"{small}, from S3", of_small, OF_SMALL),
        ],
    )


@contextmanager
def _exported(setting):
    """An NFS server of version 4.1 over a directory of the disk, `room`."""
    room = setting.scratch / "room"
    room.mkdir()
    in_memory = on_overlay(room)
    if in_memory:
        run(["mount", "-t", "tmpfs", "tmpfs", room])
    room.chmod(0o755)
    server = Nfs4(setting.scratch / "nfs4-room", setting.logs, SimpleNamespace(open=room))
    server.room = room
    try:
        yield server.start()
    finally:
        server.stop()
        if in_memory:
            run(["umount", "--lazy", room])


class _ToNfs(Ours):
    """The agent, writing to the NFS server."""

    def __init__(self, site, server):
        super().__init__(site, host=server.host, version="NFS4_1")

    def task(self, root, bucket):
        site = self.site
        destination = site.nfs_location(root, host=self.host, version=self.version)
        arn = site.create_task(site.store_location(bucket), destination, OPTIONS)
        site.wait_task(arn, "AVAILABLE")
        return arn


def _measured(setting, server, programs, tree, fill):
    """Each program's results, by name, over a bucket with this tree."""
    bucket = programs[0].site.store.bucket(f"from-{tree.count}")
    fill.copy(tree, bucket)
    results = {program.name: [] for program in programs}
    for number in range(setting.runs):
        for program in programs:
            what = f"from-s3, {tree} {number + 1}: {program.name}"
            result = again_if_void(what, lambda: _copy(server, program, tree, bucket))
            print(f"{what}: {result}", flush=True)
            results[program.name].append(result)
    return results


def _copy(server, program, tree, bucket):
    """Into a new directory, which is removed afterwards, from the disk too."""
    root = os.fsencode(server.room / f"to-{os.urandom(6).hex()}")
    os.mkdir(root, 0o755)
    try:
        result = program.copy(Tree(root, tree.count, tree.size), bucket)
        files = list(_files(root))
        arrived = sum(entry.stat().st_size for entry in files)
        if (len(files), arrived) != (tree.count, tree.bytes):
            raise Void(f"{arrived} of {tree.bytes} bytes arrived in {len(files)} files")
        return result
    finally:
        shutil.rmtree(root)
        run(["sync", "--file-system", server.room])


def _files(directory):
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            yield entry


def _share(what, results, value):
    rates = {name: middle(runs, value) for name, runs in results.items()}
    ours = rates.pop(Ours.name)
    return at_least(what, ours / max(rates.values()), SHARE_MIN)


def _shown(what, results, columns):
    rows = []
    for name, runs in results.items():
        values = [f"{middle(runs, value):,.{digits}f}" for _, value, digits in columns]
        rows.append([name, *values, f"{max(result.rss_mib for result in runs):.0f}"])
    return table([what, *(head for head, *_ in columns), "peak RSS MiB"], rows)
