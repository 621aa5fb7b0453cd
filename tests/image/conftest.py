"""Images of static programs ($DATASYNC_STATIC), an engine, a control; the world's NFS server and store."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["NO_COLOR"] = "1"

from world.control import Control  # noqa: E402
from world.engine import Engine  # noqa: E402
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
from world.process import Failed, binary, run  # noqa: E402
from world.site import ROLE  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    parser.addoption("--dist", action="store_true", help="the programs are those that are shipped")


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    made = Engine(tmp_path_factory.mktemp("engine"))
    try:
        yield made
    finally:
        made.remove_all()


@pytest.fixture(scope="session")
def build(engine):
    """`image/build`, with ready programs; answers its lines as lists of words."""

    def call(output, *arguments, epoch=1700000000):
        environment = os.environ | engine.environment | {"SOURCE_DATE_EPOCH": str(epoch)}
        command = [ROOT / "image" / "build", "--binaries", os.environ["DATASYNC_STATIC"]]
        answer = run([*command, "--output", output, *arguments], timeout=900, env=environment)
        if answer.returncode != 0:
            raise Failed(f"image/build: {answer.stdout}{answer.stderr}")
        return [line.split() for line in answer.stdout.splitlines()]

    return call


@pytest.fixture(scope="session")
def manual(tmp_path_factory):
    """The folder with man pages and completions."""
    folder = tmp_path_factory.mktemp("manual")
    answer = run([binary("datasync-manual"), folder])
    if answer.returncode != 0:
        raise Failed(f"datasync-manual: {answer.stderr}")
    return folder


@pytest.fixture(scope="session")
def images(build, tmp_path_factory):
    """The folder with the archives; the images are in the engine's store, too."""
    output = tmp_path_factory.mktemp("images")
    build(output, "--load")
    return output


@pytest.fixture(scope="session")
def references(images):
    """The images' names by what is in them."""
    names = [path.name.split("-") for path in images.glob("*.docker.tar")]
    return {name: f"localhost/datasync-{name}:{version}" for _, name, version, _ in names}


@pytest.fixture(scope="module")
def control(directory, module_logs, store):  # noqa: F811
    """Control as a program, with a role for the store."""
    made = Control(directory, module_logs, roles=[ROLE])
    made.start()
    key = ["--access-key-id", store.access_key, "--endpoint", store.endpoint]
    made.cli("role", "set-key", ROLE, *key, text_in=store.secret_key + "\n")
    try:
        yield made
    finally:
        made.stop()
