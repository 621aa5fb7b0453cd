"""One NFS server and one store for the session; one site (control and agent) for each module."""

import os
import sys
from functools import cache
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
    parser.addoption("--half", type=int, choices=(1, 2), help="of two runs that share the files")
    parser.addoption("--claims", type=Path, help="the folder where both runs note what they took")
    parser.addoption("--radosgw", action="store_true", help="tests that need Ceph's radosgw")


def pytest_configure(config):
    config.addinivalue_line("markers", "large: takes minutes and gigabytes")
    config.addinivalue_line("markers", "radosgw: needs Ceph's radosgw")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--half") == 2:
        # From the last file on: the two runs meet somewhere.
        items.sort(key=lambda item: item.path, reverse=True)
    for item in items:
        for marker in ("large", "radosgw"):
            if item.get_closest_marker(marker) and not config.getoption(f"--{marker}"):
                item.add_marker(pytest.mark.skip(reason=f"only with tests/run --full ({marker})"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    claims = item.config.getoption("--claims")
    if claims and not is_ours(item.path, claims):
        return True
    return None


@cache
def is_ours(file, claims):
    """Whether this run takes a test file, since the other one has not."""
    try:
        (claims / file.stem).mkdir()
    except FileExistsError:
        return False
    return True


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):  # noqa: F811
    """Control and an agent that is ONLINE."""
    made = Site(directory, module_logs, nfs, store)
    try:
        made.start()
        yield made
    finally:
        made.stop()
