"""The same sources give the same programs, wherever they lie."""

import os
import subprocess
from pathlib import Path

import pytest
from world.process import Failed, run

ROOT = Path(__file__).resolve().parents[2]
SMALL = "bench-delay"
SHIPPED = ("datasync-agent", "datasync-control")


def sources(folder):
    """A copy of what git knows, as it is now."""
    folder.mkdir(parents=True)
    listed = run(["git", "-C", ROOT, "ls-files", "-z"])
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    packed = subprocess.run(
        ["tar", "-c", "-C", ROOT, "--null", "-T", "-"],
        input="\0".join(names).encode(), capture_output=True, check=True,
    )
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder


def compiled(folder, target, profile, *packages, seconds):
    """The programs by name."""
    command = [folder / "image/static", "--profile", profile, *packages]
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "CARGO_NET_OFFLINE": "true"}
    answer = run(command, timeout=seconds, env=environment)
    if answer.returncode != 0:
        raise Failed(f"image/static: {answer.stdout}{answer.stderr}")
    made = Path(answer.stdout.strip())
    return {package: (made / package).read_bytes() for package in packages}


def assert_same(first, second):
    for name, program in first.items():
        # Nobody wants to see both of them.
        assert len(program) == len(second[name]), name
        assert program == second[name], name


@pytest.mark.timeout(1200)
def test_a_program_is_the_same_from_another_folder(tmp_path):
    first = compiled(
        sources(tmp_path / "a"), tmp_path / "target-a", "dev", SMALL, seconds=600
    )
    # Another length as well, and the target folder among the sources.
    second = sources(tmp_path / "further/down")
    assert_same(first, compiled(second, second / "target", "dev", SMALL, seconds=600))
    for place in (tmp_path, ROOT, Path.home()):
        assert os.fsencode(place) + b"/" not in first[SMALL], place


@pytest.mark.timeout(3900)
def test_what_is_shipped_is_the_same_from_another_folder(request, tmp_path):
    if not request.config.getoption("--dist"):
        pytest.skip("only with tests/run --full: it takes as long as a release")
    static = Path(os.environ["DATASYNC_STATIC"])
    first = {name: (static / name).read_bytes() for name in SHIPPED}
    second = sources(tmp_path / "sources")
    assert_same(first, compiled(second, tmp_path / "target", "dist", *SHIPPED, seconds=3600))
