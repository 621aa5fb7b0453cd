"""How long one huge directory is read and sorted before its first file is sent."""

import time

from bench.contestants.ours import AVAILABLE_SECONDS_MAX, RUN_SECONDS_MAX, Ours
from bench.measures import Outcome
from bench.result import Void
from bench.table import table
from world.nas import Nas
from world.process import wait_until


def directory(setting):
    """Of a synthetic server, which is faster than a real one; nothing is demanded."""
    sizes = [3_000] if setting.smoke else [1_000_000]
    if setting.full:
        sizes.append(10_000_000)
    rows = []
    for entries in sizes:
        with setting.site() as site:
            seconds, rss = _first_file(setting, site, entries)
        print(f"directory: {entries:,} entries, {seconds:.2f} s, {rss:.0f} MiB", flush=True)
        rows.append([f"{entries:,}", f"{seconds:.1f}", f"{entries / seconds:,.0f}", f"{rss:.0f}"])
    head = ["entries of one directory", "s to the first file", "entries/s", "peak RSS MiB"]
    return Outcome([], [table(head, rows)])


def _first_file(setting, site, entries):
    """Seconds from StartTaskExecution until the sink has a file; the execution is then cancelled."""
    nas = Nas(1, entries, 0, setting.logs).start()
    try:
        ours = Ours(site, host=nas.host)
        task = ours.task(b"/", setting.sink.bucket("directory"))
        began = time.monotonic()
        execution = site.launch(task)
        # The root and the directory are objects too.
        wait_until(
            "the first file arrives",
            lambda: setting.sink.stats()["objects"] > 2,
            RUN_SECONDS_MAX,
            0.02,
        )
        seconds = time.monotonic() - began
        rss = site.agent.server.rss_peak_mib()
        site.datasync.cancel_task_execution(TaskExecutionArn=execution)
        ended = site.wait_execution(execution, AVAILABLE_SECONDS_MAX)
        if ended["Status"] not in ("ERROR", "SUCCESS"):
            raise Void(f"cancelled, and now {ended['Status']}")
        return seconds, rss
    finally:
        nas.stop()
