"""One NFS server and one store for the session; one site (control and agent) for each module."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["NO_COLOR"] = "1"

from world.fixtures import (  # noqa: E402, F401
    directory,
    in_a_world,
    logs,
    module_logs,
    nfs,
    no_secret_in_any_log,
    pytest_runtest_makereport,
    store,
)
from world.site import Site  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--large", action="store_true", help="tests of minutes and gigabytes")
    parser.addoption("--half", type=int, choices=(1, 2), help="every second test file")
    parser.addoption("--radosgw", action="store_true", help="tests that need Ceph's radosgw")


def pytest_configure(config):
    config.addinivalue_line("markers", "large: takes minutes and gigabytes")
    config.addinivalue_line("markers", "radosgw: needs Ceph's radosgw")


def pytest_collection_modifyitems(config, items):
    if half := config.getoption("--half"):
        files = sorted({item.path for item in items})
        left_out = [item for item in items if files.index(item.path) % 2 != half - 1]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        for marker in ("large", "radosgw"):
            if item.get_closest_marker(marker) and not config.getoption(f"--{marker}"):
                item.add_marker(pytest.mark.skip(reason=f"only with tests/run --full ({marker})"))


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):  # noqa: F811
    """Control and an agent that is ONLINE."""
    made = Site(directory, module_logs, nfs, store)
    try:
        made.start()
        yield made
    finally:
        made.stop()
