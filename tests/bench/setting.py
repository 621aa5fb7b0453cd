"""What all rows share: the servers, a place for trees, and how much is measured."""

import itertools
from contextlib import contextmanager

from bench import trees
from world.nfs import Nfs
from world.sink import Sink
from world.site import Site

MIB = 1024 * 1024


class Setting:
    """An NFS server and a sink that run; sites are made by each row."""

    def __init__(self, scratch, runs, smoke, full):
        self.scratch = scratch
        self.logs = scratch / "logs"
        self.runs = runs
        self.smoke = smoke
        self.full = full
        self.nfs = Nfs(scratch / "nfs", self.logs, in_memory=True)
        self.sink = Sink(self.logs)
        self._trees = {}
        self._numbers = itertools.count(1)

    def tree(self, make, name, count, size):
        """A tree of the export, made once."""
        if name not in self._trees:
            self._trees[name] = make(self.nfs.open, name, count, size)
        return self._trees[name]

    def large(self):
        """4 × 1 GiB."""
        return self.tree(trees.few, "large", *((2, 260 * MIB) if self.smoke else (4, 1024 * MIB)))

    def small(self):
        """50,000 × 4 KiB."""
        return self.tree(trees.many, "small", 600 if self.smoke else 50_000, 4096)

    def start(self):
        self.nfs.start()
        self.sink.start()

    def stop(self):
        self.sink.stop()
        self.nfs.stop()

    @contextmanager
    def site(self, command=None, store=None, **agent_settings):
        """Control and an agent of their own; `command` changes how the agent is started, `store`
        stands in the sink's place."""
        number = next(self._numbers)
        directory, logs = self.scratch / f"site-{number}", self.logs / f"site-{number}"
        site = Site(directory, logs, self.nfs, store or self.sink, **agent_settings)
        try:
            site.start()
            if command:
                site.agent.stop()
                site.agent.server.arguments = command(site.agent.server.arguments)
                site.agent.start()
                site.agent.wait_online(site.datasync)
            yield site
        finally:
            site.stop()
            self.sink.reset()

    def log_tails(self):
        for log in sorted(self.logs.rglob("*.log")):
            yield log.name, log.read_text(errors="replace").splitlines()[-10:]
