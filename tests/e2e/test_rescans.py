"""A run over an unchanged tree costs a listing, and no request for any single object."""

import re

import pytest
from world import tree
from world.sink import Sink
from world.site import Site, shown

FILES = 1500


@pytest.fixture(scope="module")
def sink(module_logs):
    server = Sink(module_logs)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def counted_site(nfs, sink, tmp_path, module_logs, request):
    """A site whose store counts its requests."""
    site = Site(tmp_path, module_logs / re.sub(r"\W+", "-", request.node.name), nfs, sink)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        sink.reset()


def requests(site):
    counts = site.store.stats()["counts"]
    return {name: counts.get(f"requests {name}", 0) for name in ("HEAD", "GET", "PUT", "POST")}


def requests_of_a_rescan(site, name, files, verify):
    """Copies a tree; answers the requests of a second run by method."""
    source = site.source(name)
    for number in range(files):
        if number % 500 == 0:
            below = tree.directory(source + b"/%d" % number)
        tree.write(below + b"/%d" % number, b"content of %d" % number)
    task = site.task(source, site.bucket(name), options={"VerifyMode": verify})
    site.run(task)
    before = requests(site)
    ended = site.run(task)
    assert ended["FilesTransferred"] == 0, shown(ended)
    return {method: count - before[method] for method, count in requests(site).items()}


@pytest.mark.parametrize(
    ("verify", "listings"), [("ONLY_FILES_TRANSFERRED", 1), ("POINT_IN_TIME_CONSISTENT", 2)]
)
def test_an_unchanged_tree_costs_listings_alone(counted_site, verify, listings):
    # Opening a location takes some requests, whatever is there.
    few = requests_of_a_rescan(counted_site, f"few-{listings}", 1, verify)
    many = requests_of_a_rescan(counted_site, f"many-{listings}", FILES, verify)
    assert many == few | {"GET": few["GET"] + listings * (FILES // 1000)}
