"""Podman with a store of its own. The network of its containers is the world's."""

import json
import os
import re
from pathlib import Path

from .process import Failed, run, wait_until

# runc, since crun refuses machines with both versions of cgroups; limits that need no right to
# raise them; no systemd and no journal.
CONTAINERS = """
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# Slower than overlay with large images, and works on every file system.
STORAGE = """
[storage]
driver = "vfs"
runroot = "{run}"
graphroot = "{root}"
"""


class Engine:
    """The engine, called like its command line."""

    def __init__(self, directory):
        directory = Path(directory)
        containers, storage = directory / "containers.conf", directory / "storage.conf"
        containers.write_text(CONTAINERS)
        storage.write_text(STORAGE.format(run=directory / "run", root=directory / "images"))
        self.environment = {
            "CONTAINERS_CONF": str(containers),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }

    def call(self, *arguments, timeout=120, env=None):
        """The answer of `podman ARGUMENT…`, whatever it is."""
        environment = os.environ | self.environment | (env or {})
        return run(["podman", *arguments], timeout=timeout, env=environment)

    def __call__(self, *arguments, **more):
        answer = self.call(*arguments, **more)
        if answer.returncode != 0:
            raise Failed(f"podman {arguments[0]}: {answer.returncode}: {answer.stderr}")
        return answer.stdout.strip()

    def container(self, name, *arguments, **more):
        """`podman run -d`, with these arguments."""
        self("run", "-d", "--name", name, *arguments, **more)
        return Container(self, name)

    def remove_all(self):
        self("rm", "-f", "-a", "-t", "0")


class Container:
    """One container. It has the names of a `Daemon`, where tests use those."""

    def __init__(self, engine, name):
        self.engine = engine
        self.name = name

    def inspect(self):
        return json.loads(self.engine("inspect", self.name))[0]

    @property
    def pid(self):
        return self.inspect()["State"]["Pid"]

    def alive(self):
        return self.inspect()["State"]["Running"]

    def exit_code(self):
        return int(self.engine("wait", self.name))

    def output(self):
        answer = self.engine.call("logs", self.name)
        return answer.stdout + answer.stderr

    def wait_for(self, what, condition, timeout):
        try:
            return wait_until(f"{self.name}: {what}", condition, timeout, 0.2)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.output()[-4000:]}") from None

    def healthy(self):
        """What the health check of its image says now."""
        return self.engine.call("healthcheck", "run", self.name).returncode == 0

    def status(self):
        """The fields of its first process in /proc/PID/status."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return dict(re.findall(r"^(\w+):\t(.*)$", text, re.M))

    def mounts(self):
        """Its mount points with the options of each."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return {line.split()[4]: line.split()[5].split(",") for line in lines}

    def cgroup(self, controller, *files):
        """The first of `files` that its cgroup has, of either version, as text."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mounts = [Path("/sys/fs/cgroup") / controllers, Path("/sys/fs/cgroup") / controller]
            for mount in [*mounts, Path("/sys/fs/cgroup")]:
                for file in files:
                    found = mount / path.lstrip("/") / file
                    if found.exists():
                        return found.read_text().strip()
        raise Failed(f"{self.name} has none of {files} in its cgroups")

    def volume(self, name):
        """The directory of a volume on this machine."""
        return Path(self.engine("volume", "inspect", "-f", "{{.Mountpoint}}", name))

    def stop(self):
        self.engine("stop", self.name)
        return self.exit_code()
