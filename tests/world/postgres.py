"""A PostgreSQL server of the tests' own; databases in it are made as they are needed."""

import itertools
import os
import signal
import subprocess
from pathlib import Path

from .process import Daemon, Failed, run

# PostgreSQL does not run as root: then nobody runs it.
NOBODY = 65534
VERSIONS = Path("/usr/lib/postgresql")


def program(name):
    found = sorted(VERSIONS.glob(f"*/bin/{name}"))
    if not found:
        raise Failed(f"{name} is missing: install the package postgresql (tests/run does)")
    return found[-1]


class Postgres:
    """Listens on a Unix socket only, in a short path: its length is bounded."""

    def __init__(self, directory, logs):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        if os.geteuid() != 0:
            self.identity = {}
        else:
            os.chown(self.directory, NOBODY, NOBODY)
        self._numbers = itertools.count(1)
        settings = ("listen_addresses=", "fsync=off", "full_page_writes=off")
        self.server = Daemon(
            "postgres",
            [program("postgres"), "-D", self.directory / "data", "-k", self.directory]
            + [part for setting in settings for part in ("-c", setting)],
            logs / "postgres.log",
            identity=self.identity,
        )

    def start(self):
        if not (self.directory / "data").exists():
            made = subprocess.run(
                [program("initdb"), "-D", self.directory / "data", "-A", "trust", "-U", "postgres",
                 "-E", "UTF8", "--locale=C.UTF-8", "-N"],
                cwd=self.directory, capture_output=True, text=True, check=False, timeout=120,
                **self.identity,
            )
            if made.returncode != 0:
                raise Failed(f"initdb: {made.stderr}")
        self.server.start()
        self.server.wait_for_line("database system is ready to accept connections", 60)
        return self

    def kill(self):
        """As a power cut would end it."""
        self.server.signal(signal.SIGQUIT)
        self.server.wait_for_end()

    def stop(self):
        if self.server.alive():
            self.server.signal(signal.SIGINT)
            self.server.wait_for_end()

    def new_database(self):
        """The URL of a new, empty database."""
        name = f"d{next(self._numbers)}"
        self.psql("postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return f"postgresql:///{name}?user=postgres&host={self.directory}"

    def psql(self, database, sql, **variables):
        """What the statements print, with `:'name'` for each variable."""
        command = [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                   "-U", "postgres", "-h", self.directory, "-d", database, "-f", "-"]
        for name, value in variables.items():
            command += ["-v", f"{name}={value}"]
        done = run(command, text_in=sql)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr}")
        return done.stdout


def name_of(url):
    """The database's name in a URL of `Postgres.new_database`."""
    return url.removeprefix("postgresql:///").partition("?")[0]
