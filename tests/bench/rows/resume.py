"""SIGKILL in the middle of multipart uploads: how soon it goes on, and what is sent twice."""

import time

from bench.contestants.ours import Ours
from bench.measures import Measure, Outcome, at_most
from bench.result import Void, again_if_void
from bench.table import table
from world.process import wait_until
from world.site import shown

MIB = 1024 * 1024
SECONDS_MAX = 2
# Of the bytes, when the agent is killed.
KILLED_AT = 0.4
END_SECONDS_MAX = 600
SETTLED_SECONDS = 0.5


def resume(setting):
    tree, runs = setting.large(), []
    with setting.site() as site:
        for number in range(setting.runs):
            found = again_if_void("resume", lambda: _killed_once(setting.sink, Ours(site), tree))
            print(f"resume {number + 1}: {found}", flush=True)
            runs.append(found)
    return Outcome(_measures(runs), [_shown(runs)])


def _killed_once(sink, ours, tree):
    """What the sink saw of one execution that was killed in its middle."""
    sink.reset()
    agent = ours.site.agent
    ours.restart()
    execution = ours.site.launch(ours.task(tree.root, sink.bucket("bench")))
    wait_until(
        "enough has arrived", lambda: sink.stats()["received"] > KILLED_AT * tree.bytes, 120, 0.01
    )
    agent.kill()
    streams = _cut_off(sink)
    sink.mark()
    agent.start()
    ended = ours.site.wait_execution(execution, END_SECONDS_MAX)
    stats = sink.stats()
    if ended["Status"] != "SUCCESS" or stats["bytes"] != tree.bytes:
        raise Void(f"{stats['bytes']} of {tree.bytes} bytes arrived: {shown(ended)}")
    return {
        "seconds": stats["resumed_seconds"],
        "streams": streams,
        "part": stats["largest_body"],
        "twice": stats["received"] - tree.bytes,
    }


def _cut_off(sink):
    """The bodies that were cut off: the kernel closes a killed process's connections at once."""
    time.sleep(SETTLED_SECONDS)
    streams = sink.stats()["counts"].get("bodies cut off", 0)
    if not streams:
        raise Void("nothing was on its way when the agent was killed")
    return streams


def _measures(runs):
    twice = at_most(
        "resume after SIGKILL: bytes sent twice, in parts per stream",
        max(run["twice"] / (run["part"] * run["streams"]) for run in runs),
        1,
    )
    what = "resume after SIGKILL: first byte of an item in flight"
    if any(run["seconds"] is None for run in runs):
        never = "never: no open upload went on"
        return [Measure(what, never, f"≤ {SECONDS_MAX} s", False), twice]
    return [at_most(what, max(run["seconds"] for run in runs), SECONDS_MAX, " s"), twice]


def _shown(runs):
    rows = [
        [
            number + 1,
            "never" if run["seconds"] is None else f"{run['seconds']:.2f}",
            run["streams"],
            f"{run['part'] / MIB:.0f}",
            f"{run['twice'] / MIB:.1f}",
        ]
        for number, run in enumerate(runs)
    ]
    head = ["killed", "s to the first byte", "streams", "MiB per part", "MiB sent twice"]
    return table(head, rows)
