"""Very many agents that only live: what their heartbeats cost control."""

import time

from bench.filled import Load
from bench.measures import Outcome
from bench.table import table

# Until what the agents' coming has brought with it is over.
SETTLING_SECONDS = 20


def fleet(setting):
    agents, seconds = (20, 32) if setting.smoke else (1_000, 120)
    load = Load(setting.scratch / "fleet", setting.logs, name="fleet").start()
    try:
        alone = load.rss_mib()
        load.connect(agents)
        time.sleep(0 if setting.smoke else SETTLING_SECONDS)
        cpu, beats = load.control.server.cpu_seconds(), load.heartbeats()
        time.sleep(seconds)
        cpu = load.control.server.cpu_seconds() - cpu
        beats = load.heartbeats() - beats
        row = [
            f"{agents:,}", f"{beats / seconds:.1f}", f"{cpu / max(beats, 1) * 1000:.3f}",
            f"{cpu / seconds * 100:.1f} %", f"{alone:.0f}", f"{load.rss_mib():.0f}",
        ]
    finally:
        load.stop()
    head = [
        "agents", "heartbeats/s", "CPU s per 1,000 heartbeats", "of one core",
        "control's RSS without agents, MiB", "with them",
    ]
    print(f"fleet: {row}", flush=True)
    return Outcome([], [table(head, [row])])
