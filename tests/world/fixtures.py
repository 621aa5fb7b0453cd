"""Fixtures of every suite that has real servers: one NFS server and one store for the session."""

import os
from pathlib import Path

import pytest

from .nfs import Nfs
from .process import Daemon
from .secrets import assert_no_secrets
from .store import Store

LOG_LINES_SHOWN = 30


@pytest.fixture(scope="session", autouse=True)
def in_a_world():
    if not os.environ.get("DATASYNC_WORLD"):
        pytest.exit("run through tests/world/enter.sh: servers need a network of their own", 70)


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    given = os.environ.get("DATASYNC_LOGS")
    directory = Path(given) if given else tmp_path_factory.mktemp("logs")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_log(logs):
    """Ends last: also what the NFS server and the store said is searched."""
    yield
    assert_no_secrets(logs)


@pytest.fixture(scope="session")
def nfs(tmp_path_factory, logs):
    server = Nfs(tmp_path_factory.mktemp("nfs") / "exports", logs)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def store(tmp_path_factory, logs):
    server = Store(tmp_path_factory.mktemp("store"), logs)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def directory(request, tmp_path_factory):
    return tmp_path_factory.mktemp(request.module.__name__)


@pytest.fixture(scope="module")
def module_logs(request, logs):
    made = logs / request.module.__name__
    made.mkdir()
    return made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the servers said since the test began."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        mine = item.module.__name__
        for server in Daemon.started:
            if not server.alive() and server.log.parent.name != mine:
                continue
            lines = server.output().splitlines()[-LOG_LINES_SHOWN:]
            if lines:
                report.sections.append((f"log of {server.name} ({server.log})", "\n".join(lines)))
