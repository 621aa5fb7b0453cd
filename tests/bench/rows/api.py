"""Calls of the API against a store with very many rows: calls per second, and what one takes."""

import os
import tempfile

from bench.filled import Load, token
from bench.measures import Outcome
from bench.table import table
from world.postgres import Postgres

CLIENTS = (1, 20, 200)
EXECUTIONS_EACH = 10
STARTED_MAX = 60_000


def api(setting):
    outcomes = [_measured(setting, None)]
    # Its server is another user's, and a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="bench-pg.") as directory:
        os.chmod(directory, 0o755)
        server = Postgres(directory, setting.logs).start()
        try:
            outcomes.append(_measured(setting, server))
        finally:
            server.stop()
    return Outcome([], outcomes)


def _measured(setting, postgres):
    """A table: each operation with each number of clients."""
    tasks, seconds = (200, 1) if setting.smoke else (10_000 if postgres else 100_000, 10)
    database = "PostgreSQL" if postgres else "SQLite"
    name = f"load-{database.lower()}"
    load = Load(setting.scratch / name, setting.logs, postgres, name).start()
    try:
        load.connect(1)
        original = load.fill(tasks, EXECUTIONS_EACH)
        filled = load.rss_mib()
        rows = [
            _row(load, database, operation, bodies[turn :: len(CLIENTS)], clients, seconds)
            for operation, bodies in _bodies(load, original, tasks).items()
            for turn, clients in enumerate(CLIENTS[:2] if setting.smoke else CLIENTS)
        ]
        peak = load.control.server.rss_peak_mib()
    finally:
        load.stop()
    head = ["operation", "clients", "calls/s", "p50 ms", "p99 ms", "CPU µs/call"]
    title = f"{tasks:,} tasks, {tasks * EXECUTIONS_EACH:,} executions, {database}"
    rss = f"Control's RSS: {filled:.0f} MiB after its start, {peak:.0f} MiB at most."
    return f"{title}\n\n{table(head, rows)}\n\n{rss}"


def _bodies(load, original, tasks):
    """What each operation is sent, in the order of measuring: what makes work for the agent comes
    last."""
    source, destination = original[:2]
    some = load.sample(original, "task", tasks, EXECUTIONS_EACH)
    executions = load.sample(original, "execution", tasks, EXECUTIONS_EACH)
    return {
        "DescribeTask": [{"TaskArn": task} for task in some],
        "DescribeTaskExecution": [{"TaskExecutionArn": execution} for execution in executions],
        "ListTasks": [{"NextToken": token(task)} for task in some],
        "ListTaskExecutions": [{"TaskArn": task} for task in some],
        "CreateTask": [
            {"SourceLocationArn": source, "DestinationLocationArn": destination, "Name": "new"}
        ] * len(CLIENTS),
        "StartTaskExecution": [
            {"TaskArn": task}
            for task in load.sample(original, "task", tasks, EXECUTIONS_EACH, STARTED_MAX)
        ],
    }


def _row(load, database, operation, bodies, clients, seconds):
    before = load.control.server.cpu_seconds()
    # Control refuses the start of a task that waits to be run.
    once = operation == "StartTaskExecution"
    found = load.calls(operation, bodies, clients, seconds, once)
    cpu = load.control.server.cpu_seconds() - before
    print(f"api, {database}: {found}", flush=True)
    return [
        operation, clients, f"{found['per_second']:,.0f}", f"{found['p50_ms']:.2f}",
        f"{found['p99_ms']:.2f}", f"{cpu / found['calls'] * 1e6:,.0f}",
    ]
