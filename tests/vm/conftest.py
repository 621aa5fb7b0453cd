"""The appliance's image, built once from the package of the agent ($DATASYNC_STATIC has its program), and
a control that machines reach."""

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
from world.process import Failed, run  # noqa: E402
from world.site import Site  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 1800


def built(command):
    answer = run(command, timeout=BUILD_SECONDS, env=os.environ | {"CHECKPOINT_DISABLE": "1"})
    if answer.returncode != 0:
        raise Failed(f"{command[0]}: {answer.stdout[-4000:]}{answer.stderr[-4000:]}")
    return answer.stdout


@pytest.fixture(scope="session")
def images(tmp_path_factory, logs):  # noqa: F811
    """The folder of what `packer/build` makes; $DATASYNC_VM_IMAGES names one that was made before."""
    if given := os.environ.get("DATASYNC_VM_IMAGES"):
        return Path(given)
    packages = tmp_path_factory.mktemp("packages")
    command = [ROOT / "packaging" / "deb" / "build", "--binaries", os.environ["DATASYNC_STATIC"]]
    built([*command, "--output", packages])
    output = tmp_path_factory.mktemp("images")
    [package] = packages.glob("datasync-agent_*.deb")
    built([ROOT / "packer" / "build", "--package", package, "--output", output])
    return output


@pytest.fixture(scope="session")
def disk(images):
    [found] = images.glob("*.qcow2")
    return found


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Where disks are: secrets are on them, as on any agent's."""
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):  # noqa: F811
    """Control, and no agent yet."""
    made = Site(directory, module_logs, nfs, store)
    # As machines see this world's loopback; those with a seed are told the other name.
    settings = made.control.configuration
    settings.write_text('server_names = ["127.0.0.1", "10.0.2.2"]\n' + settings.read_text())
    made.control.start()
    made.datasync = made.control.boto()
    try:
        yield made
    finally:
        made.stop()
