"""First copies to a store that keeps the content: what is left of the differences."""

import os

from bench import trees
from bench.contestants.awscli import aws_sync
from bench.contestants.ours import Ours
from bench.contestants.rclone import LARGE, SMALL, rclones
from bench.contestants.s5cmd import s5cmd
from bench.measures import Outcome
from bench.result import Void, again_if_void
from bench.table import table
from world.store import Store

MIB = 1024 * 1024


def store(setting):
    large = setting.tree(trees.few, "store-large", 4, (16 if setting.smoke else 256) * MIB)
    small = setting.tree(trees.many, "store-small", 200 if setting.smoke else 1_000, 4096)
    kept = Store(setting.scratch / "store", setting.logs)
    kept.start()
    try:
        with setting.site(store=kept) as site:
            ours, aws = Ours(site), aws_sync(kept, setting.scratch)
            rclone = rclones({"tuned": LARGE["tuned"]}, kept)["tuned"]
            of_large = _copies(kept, [ours, rclone, s5cmd(kept, 32), aws], large)
            of_small = _copies(kept, [ours, *rclones(SMALL, kept).values(), s5cmd(kept, 64)], small)
    finally:
        kept.stop()
    return Outcome(
        [],
        [
            _shown(f"{large}, kept", "GiB/s", of_large, "gib_per_second", 3),
            _shown(f"{small}, kept", "files/s", of_small, "files_per_second", 0),
        ],
    )


def _copies(kept, programs, tree):
    results = {}
    for program in programs:
        result = again_if_void(program.name, lambda: _copy(kept, program, tree))
        print(f"store, {tree}: {program.name}: {result}", flush=True)
        results[program.name] = result
    return results


def _copy(kept, program, tree):
    """Into a new bucket, which is emptied afterwards: the disk holds one copy at a time."""
    bucket = kept.bucket(f"kept-{os.urandom(6).hex()}")
    result = program.copy(tree, bucket)
    pages = kept.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    objects = [found for page in pages for found in page.get("Contents", [])]
    arrived = sum(found["Size"] for found in objects)
    if arrived != tree.bytes or len(objects) < tree.count:
        raise Void(f"{arrived} of {tree.bytes} bytes arrived in {len(objects)} objects")
    for found in objects:
        kept.client.delete_object(Bucket=bucket, Key=found["Key"])
    return result


def _shown(what, unit, results, value, digits):
    rows = [
        [
            name,
            f"{getattr(result, value):,.{digits}f}",
            f"{result.cpu_seconds:.2f}",
            f"{result.rss_mib:.0f}",
        ]
        for name, result in results.items()
    ]
    return table([what, unit, "CPU s", "peak RSS MiB"], rows)
