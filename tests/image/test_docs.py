"""The commands of docs/deploy that need images do what they say."""

import os
import re
import sys
from pathlib import Path

import pytest
from world import tree
from world.expected import Snapshot
from world.process import run
from world.secrets import remember

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "docs"))

from shell import run_document  # noqa: E402

DEPLOY = ROOT / "docs" / "deploy"
SECONDS = 240
NAMES = ("control.example", "agent.example", "nas.example", "store.example")
SECRET = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """This machine by the names that the documents use; the world has its own mounts."""
    hosts = tmp_path_factory.mktemp("names") / "hosts"
    hosts.write_text("127.0.0.1 localhost " + " ".join(NAMES) + "\n")
    assert run(["mount", "--bind", hosts, "/etc/hosts"]).returncode == 0
    yield
    assert run(["umount", "/etc/hosts"]).returncode == 0


@pytest.fixture
def shell(engine, references, names, tmp_path):
    """Runs a document beside an engine; answers its output."""
    assert references["agent"].endswith(":0.1.0"), "the documents name the version"
    commands = tmp_path / "bin"
    commands.mkdir()
    # Docker is Podman here, and its compose podman-compose.
    docker = commands / "docker"
    docker.write_text(
        '#!/bin/sh\nif [ "$1" = compose ]; then shift; exec podman-compose "$@"; fi\n'
        'exec podman "$@"\n'
    )
    docker.chmod(0o755)

    def call(document, **more):
        environment = os.environ | engine.environment | {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "REPOSITORY": str(ROOT),
            "AWS_PAGER": "",
        }
        code, output = run_document(DEPLOY / document, tmp_path, tmp_path, environment | more, SECONDS)
        for secret in SECRET.findall(output):
            remember(f"a key in {document}", secret)
        assert code == 0, f"{document}: {code}\n{output[-6000:]}"
        return output

    yield call
    engine.remove_all()


def test_podman(shell, nfs, store):
    source = os.fsencode(nfs.open / "documented")
    os.mkdir(source)
    tree.neighbours(source)
    snapshot = Snapshot(source, "home/")
    store.bucket("backup")
    keys = {"STORE_ACCESS_KEY": store.access_key, "STORE_SECRET_KEY": store.secret_key}
    shell("podman.md", SHARE=os.fsdecode(source), **keys)
    snapshot.assert_at(store.client, "backup")


def test_docker(shell):
    shell("docker.md")
