"""The agent's memory is a constant: trees of millions of entries in a cgroup of 256 MiB."""

import os
import time
from pathlib import Path

import pytest
from world.nfs import PORTMAPPER
from world.process import Daemon, Failed, accepts, binary
from world.sink import Sink
from world.site import Site, shown

LIMIT_BYTES = 256 * 1024 * 1024
EXECUTION_SECONDS = 2400
NAS_PORT = 2050
pytestmark = [pytest.mark.large, pytest.mark.timeout(EXECUTION_SECONDS + 300)]


class Cgroup:
    """A memory cgroup of version 1 or 2, whichever the machine has."""

    def __init__(self):
        name = f"datasync-test-{os.getpid()}-{time.monotonic_ns()}"
        first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        if first.is_dir():
            self.path, self.limit = first / name, "memory.limit_in_bytes"
        elif "memory" in (second / "cgroup.subtree_control").read_text().split():
            self.path, self.limit = second / name, "memory.max"
        else:
            pytest.skip("no memory cgroup can be made here")
        try:
            self.path.mkdir()
            (self.path / self.limit).write_text(str(LIMIT_BYTES))
        except OSError as error:
            pytest.skip(f"no memory cgroup can be made here: {error}")

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def oom_kills(self):
        for name in ("memory.oom_control", "memory.events"):
            path = self.path / name
            if path.exists():
                fields = dict(line.split() for line in path.read_text().splitlines())
                return int(fields.get("oom_kill", 0))
        return 0

    def remove(self):
        self.path.rmdir()


@pytest.fixture
def cgroup():
    made = Cgroup()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def sink(module_logs):
    server = Sink(module_logs)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("shape", "entries"),
    [("2000,1000,0", 2_000_000), ("1,1000000,0", 1_000_000)],
    ids=["two million entries", "one directory of one million"],
)
def test_rss_stays_below_256_mib(shape, entries, cgroup, sink, tmp_path, module_logs):
    nas = Daemon(
        "nas",
        [binary("quickstart-nas"), "--synthetic", shape, "--listen", f"127.0.0.1:{NAS_PORT}"],
        module_logs / f"nas-{shape}.log",
    ).start()
    nas.wait_for_port(NAS_PORT)
    assert not accepts(PORTMAPPER)

    class Nas:
        host = f"127.0.0.1:{NAS_PORT}"

    site = Site(tmp_path, module_logs / shape, Nas, sink)
    try:
        site.start()
        site.agent.stop()
        site.agent.start()
        cgroup.add(site.agent.server.pid)
        site.agent.wait_online(site.datasync)
        bucket = sink.bucket(f"memory-{entries}")
        task = site.task(b"/", bucket)
        peaks = []
        for _ in range(2):
            ended = site.run(task, EXECUTION_SECONDS)
            peaks.append(site.agent.server.rss_peak_mib())
        assert cgroup.oom_kills() == 0
        assert max(peaks) <= 256, f"peak RSS {peaks} MiB"
        # The second run moved nothing.
        assert ended["FilesTransferred"] == 0, shown(ended)
        objects = sink.stats()["objects"]
        assert objects >= entries, f"{objects} of {entries} entries arrived"
        print(f"{shape}: peak RSS {peaks} MiB")
    finally:
        site.stop()
        nas.kill()
        sink.reset()
        wait_empty(cgroup)


def wait_empty(cgroup):
    """A cgroup can be removed once its processes are gone."""
    for _ in range(100):
        if not (cgroup.path / "cgroup.procs").read_text().strip():
            return
        time.sleep(0.1)
    raise Failed("the agent's cgroup did not become empty")
