"""A control whose store is filled by copies of what it wrote itself: one task with its locations and
one execution, in every row that speaks of them."""

import base64
import contextlib
import json
import re
import sqlite3
import subprocess

from world.control import Control
from world.postgres import name_of
from world.process import Failed, binary, wait_until

AGENT_SECONDS_MAX = 600
SETTLED_SECONDS_MAX = 60
# Executions of one task end so far apart, in milliseconds: a million of them within 60 days.
APART_MS = 5000


class Load:
    """Control alone, on SQLite or in a database of PostgreSQL, and `bench-load`."""

    def __init__(self, directory, logs, postgres=None, name="load"):
        settings = {"database_url": postgres.new_database()} if postgres else {}
        self.postgres, self.database = postgres, name_of(settings["database_url"]) if postgres else None
        self.directory = directory
        self.control = Control(directory, logs, name=name, **settings)
        self.agents = None
        usual = self.control.configuration.read_text()
        usual = usual.replace("heartbeat_interval_seconds = 2", "heartbeat_interval_seconds = 15")
        usual = usual.replace("offline_after_seconds = 8", "offline_after_seconds = 60")
        self.control.configuration.write_text(usual)
        self.log = logs / f"{name}-agents.log"

    def start(self):
        self.control.start()
        return self

    def stop(self):
        if self.agents is not None:
            self.agents.stdin.close()
            self.agents.wait(10)
        self.control.server.kill()

    def command(self, *arguments):
        """`bench-load` with what every load needs."""
        where = ["--api", f"127.0.0.1:{self.control.api_port}", "--ca", self.control.ca]
        command = [binary("bench-load"), *where, *arguments]
        environment = {
            "AWS_ACCESS_KEY_ID": self.control.access_key,
            "AWS_SECRET_ACCESS_KEY": self.control.secret_key,
        }
        return [str(part) for part in command], environment

    def connect(self, count):
        """Activates agents, which stay until the end."""
        command, environment = self.command(
            "agents", "--control", f"127.0.0.1:{self.control.agent_port}", "--count", count
        )
        with open(self.log, "ab") as log:
            self.agents = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True,
            )
        said = self.agents.stdout.readline()
        if not said:
            raise Failed(f"bench-load: {self.log.read_text()[-500:]}")

    def heartbeats(self):
        """How many were answered so far."""
        self.agents.stdin.write("\n")
        self.agents.stdin.flush()
        return json.loads(self.agents.stdout.readline())["heartbeats"]

    def calls(self, operation, bodies, clients, seconds, once):
        """What `bench-load calls` measured; `once`: no body is sent twice."""
        file = self.directory / "bodies"
        file.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        command, environment = self.command(
            "calls", "--operation", operation, "--bodies", file, "--clients", clients,
            "--seconds", seconds, *(["--once"] if once else []),
        )
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds + 120
        )
        if done.returncode != 0:
            raise Failed(f"bench-load: {done.stderr}")
        return json.loads(done.stdout)

    def original(self):
        """The ids of what is copied: two locations, a task and its execution, which has ended."""
        datasync = self.control.boto()
        agents = [datasync.list_agents()["Agents"][0]["AgentArn"]]
        source = datasync.create_location_nfs(
            ServerHostname="nas.example", Subdirectory="/export",
            OnPremConfig={"AgentArns": agents},
        )["LocationArn"]
        destination = datasync.create_location_object_storage(
            ServerHostname="store.example", BucketName="bucket", AgentArns=agents
        )["LocationArn"]
        task = datasync.create_task(
            SourceLocationArn=source, DestinationLocationArn=destination, Name="load"
        )["TaskArn"]
        _until(lambda: datasync.describe_task(TaskArn=task)["Status"], "AVAILABLE")
        execution = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
        _until(
            lambda: datasync.describe_task_execution(TaskExecutionArn=execution)["Status"],
            "SUCCESS",
        )
        return [source, destination, task, execution]

    def fill(self, tasks, executions_each):
        """Copies the original while control is away; answers its ARNs."""
        original = self.original()
        self.control.server.stop()
        ids = [arn.rsplit("/", 1)[1] for arn in original]
        copies = Copies(ids, tasks, executions_each, bool(self.postgres))
        if self.postgres:
            found = self.postgres.psql(self.database, f"SELECT json_agg(r) FROM ({copies.asked}) r")
            rows = [row.values() for row in json.loads(found)]
            self.postgres.psql(self.database, ";\n".join([*copies.statements(rows), "ANALYZE"]))
        else:
            file = self.control.state / "control.sqlite3"
            with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
                rows = database.execute(copies.asked).fetchall()
                for statement in copies.statements(rows):
                    database.execute(statement)
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.control.start()
        # It came back: whatever is measured has an agent that is there.
        agents = self.control.boto().list_agents
        _until(lambda: agents()["Agents"][0]["Status"], "ONLINE")
        return original

    def sample(self, original, kind, tasks, executions_each, count=1000):
        """ARNs of copies, spread over all."""
        source, destination, task, execution = original
        count = min(count, tasks)
        chosen = [1 + place * tasks // count for place in range(count)]
        if kind == "task":
            return [_copy(task, number) for number in chosen]
        return [
            _copy(task, number) + "/execution/" + _copy(execution, number * executions_each)
            .rsplit("/", 1)[1]
            for number in chosen
        ]

    def rss_mib(self):
        return self.control.server._status_kib("VmRSS") / 1024


def token(arn):
    """The token with which a list goes on after `arn`."""
    return base64.urlsafe_b64encode(arn.rsplit("/", 1)[1].encode()).decode().rstrip("=")


def _until(status, wanted):
    wait_until(wanted, lambda: status() == wanted, SETTLED_SECONDS_MAX, 0.1)


def _copy(arn, number):
    """The ARN of a copy of a resource."""
    before, _, name = arn.rpartition("/")
    return f"{before}/{name.split('-')[0]}-{number:017x}"


class Copies:
    """SQL that copies the rows of a task, its two locations and its execution."""

    def __init__(self, ids, tasks, executions_each, postgres):
        source, destination, task, execution = ids
        self.tasks, self.each, self.postgres = tasks, executions_each, postgres
        named = " OR ".join(f"id LIKE '{name}%'" for name in ids)
        self.asked = (
            "SELECT kind, id, version, parent, body FROM records "
            f"WHERE kind <> 'event' AND ({named})"
        )
        # The number of each copy, of the copy number n of a task and of an execution.
        self.of_task = {
            source: "n * 2", destination: "n * 2 + 1", task: "n", execution: f"n * {self.each}",
        }
        of_task = f"((n - 1) / {self.each} + 1)"
        self.of_execution = {
            source: f"{of_task} * 2", destination: f"{of_task} * 2 + 1", task: of_task,
            execution: "n",
        }

    def statements(self, rows):
        """One INSERT for each row."""
        for kind, name, version, parent, body in rows:
            of_execution = kind == "execution"
            replaced = self.of_execution if of_execution else self.of_task
            count = self.tasks * (self.each if of_execution else 1)
            values = [
                _quoted(kind), self.renamed(_quoted(name), replaced), str(version),
                self.renamed(_quoted(parent), replaced) if parent else "NULL",
                self.renamed(self.earlier(body), replaced),
            ]
            yield (
                "INSERT INTO records (kind, id, version, parent, body) "
                f"SELECT {', '.join(values)} FROM ({self.numbers(count)}) AS numbers"
            )

    def numbers(self, count):
        if self.postgres:
            return f"SELECT n FROM generate_series(1, {count}) AS n"
        return (
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
            f"WHERE n < {count}) SELECT n FROM numbers"
        )

    def renamed(self, text, replaced):
        for name, number in replaced.items():
            number = (
                f"lpad(to_hex(({number})::bigint), 17, '0')" if self.postgres
                else f"printf('%017x', {number})"
            )
            text = f"replace({text}, '{name}', '{name.split('-')[0]}-' || {number})"
        return text

    def earlier(self, body):
        """The body; an execution ended some time before the original."""
        found = re.search(r'"ended_at_ms":(\d+)', body)
        if not found:
            return _quoted(body)
        before, after = body[: found.start(1)], body[found.end(1) :]
        at = f"({found.group(1)} - n * {APART_MS})"
        at = at.replace("n *", "n::bigint *") if self.postgres else at
        return f"{_quoted(before)} || {at} || {_quoted(after)}"


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"
