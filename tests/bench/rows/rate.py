"""How exactly a bandwidth limit is kept, seen from the store."""

import threading
import time

from bench import trees
from bench.contestants.ours import RUN_SECONDS_MAX, Ours
from bench.measures import Outcome, at_most
from bench.result import Void, again_if_void
from bench.table import table
from world.site import shown

KIB, MIB = 1024, 1024 * 1024
RATES = [64 * KIB, MIB, 100 * MIB, 1024 * MIB]
# Length of a window in seconds, and the share by which its bytes may be off.
WINDOWS = {1: 5, 10: 1}
SECONDS = 25
SMOKE_SECONDS = 8
SETTLED_SECONDS = 2
SAMPLE_SECONDS = 0.02


def rate(setting):
    """Executions of `SECONDS` at each limit; the sink's bytes are read while they come."""
    seconds = SMOKE_SECONDS if setting.smoke else SECONDS
    windows = {1: WINDOWS[1]} if setting.smoke else WINDOWS
    measures, rows = [], []
    with setting.site() as site:
        for limit in RATES[:1] + RATES[2:3] if setting.smoke else RATES:
            tree = setting.tree(trees.sparse, f"rate-{limit}", 4, limit * seconds // 4)
            samples = again_if_void("rate", lambda: _samples(setting.sink, Ours(site), tree, limit))
            off = {window: worst(samples, limit, window) for window in windows}
            print(f"rate {_named(limit)}: {off}", flush=True)
            measures += [_measure(limit, window, off[window]) for window in windows]
            shares = [f"{100 * off[window] / (limit * window):.2f} %" for window in windows]
            rows.append([_named(limit), f"{_mean(samples) / limit:.4f}", *shares])
    head = ["limit", "mean / limit", *(f"worst {window} s" for window in windows)]
    return Outcome(measures, [table(head, rows)])


def _samples(sink, ours, tree, limit):
    """Times and the bytes that had arrived by then, while an execution runs at `limit`."""
    sink.reset()
    ours.restart()
    task = ours.task(tree.root, sink.bucket("bench"))
    samples, ended = [], threading.Event()
    watching = threading.Thread(target=_watch, args=(sink, samples, ended))
    watching.start()
    try:
        execution = ours.site.launch(task, {"BytesPerSecond": limit})
        found = ours.site.wait_execution(execution, RUN_SECONDS_MAX)
    finally:
        ended.set()
        watching.join()
    if found["Status"] != "SUCCESS":
        raise Void(shown(found))
    return steady(samples, tree.bytes)


def _watch(sink, samples, ended):
    while not ended.wait(SAMPLE_SECONDS):
        arrived = sink.stats()["arrived"]
        samples.append((time.monotonic(), arrived))


def steady(samples, total):
    """Without the first and the last seconds of bytes, when not every stream has something to send."""
    begun = next(at for at, arrived in samples if arrived)
    ended = next(at for at, arrived in samples if arrived >= total)
    return [
        (at, arrived)
        for at, arrived in samples
        if begun + SETTLED_SECONDS <= at <= ended - SETTLED_SECONDS
    ]


def worst(samples, limit, window):
    """The most bytes by which a window of so many seconds is off the limit."""
    worst, end = 0, 0
    for at, arrived in samples:
        while end < len(samples) and samples[end][0] < at + window:
            end += 1
        if end == len(samples):
            break
        later, then = samples[end]
        worst = max(worst, abs(then - arrived - limit * (later - at)))
    return worst


def _mean(samples):
    (began, before), (ended, after) = samples[0], samples[-1]
    return (after - before) / (ended - began)


def _measure(limit, window, off):
    what = f"limit of {_named(limit)}: worst {window} s, off by"
    return at_most(what, 100 * off / (limit * window), WINDOWS[window], " %")


def _named(limit):
    return f"{limit // MIB:,} MiB/s" if limit >= MIB else f"{limit // KIB} KiB/s"
