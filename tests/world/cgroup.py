"""A memory cgroup of version 1 or 2, whichever the machine has."""

import os
import time
from pathlib import Path

from .process import Failed, wait_until

MIB = 1024 * 1024


class Cgroup:
    """One group with a limit; `Failed` where none can be made."""

    def __init__(self, limit_mib):
        name = f"datasync-test-{os.getpid()}-{time.monotonic_ns()}"
        first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        if first.is_dir():
            self.path, limit = first / name, "memory.limit_in_bytes"
        elif "memory" in (second / "cgroup.subtree_control").read_text().split():
            self.path, limit = second / name, "memory.max"
        else:
            raise Failed("no memory cgroup can be made here")
        try:
            self.path.mkdir()
            (self.path / limit).write_text(str(limit_mib * MIB))
        except OSError as error:
            raise Failed(f"no memory cgroup can be made here: {error}") from None

    def add(self, pid):
        """Moves a process in, and whatever it starts from now on."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def command(self, arguments):
        """A command that starts in the group, and so sees its limit."""
        enter = 'echo $$ >"$0" && exec "$@"'
        return ["sh", "-c", enter, str(self.path / "cgroup.procs"), *arguments]

    def oom_kills(self):
        for name in ("memory.oom_control", "memory.events"):
            path = self.path / name
            if path.exists():
                fields = dict(line.split() for line in path.read_text().splitlines())
                return int(fields.get("oom_kill", 0))
        return 0

    def remove(self):
        """Once its processes are gone."""
        members = self.path / "cgroup.procs"
        wait_until("the cgroup is empty", lambda: not members.read_text().strip(), 10, 0.1)
        self.path.rmdir()
