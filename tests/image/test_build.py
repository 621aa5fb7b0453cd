"""What is in the images, and that it is the same each time."""

import hashlib
import io
import json
import tarfile

import pytest
from world.process import run

BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def blobs(path):
    """The files of an archive by name."""
    with tarfile.open(path) as archive:
        files = [member for member in archive if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in files}


def opened(path):
    """The configuration of a docker-archive, and the members of its layers."""
    files = blobs(path)
    manifest = json.loads(files["manifest.json"])[0]
    layers = [tarfile.open(fileobj=io.BytesIO(files[name])) for name in manifest["Layers"]]
    return json.loads(files[manifest["Config"]]), [member for layer in layers for member in layer]


def test_two_packings_are_the_same_bytes(build, images, tmp_path):
    again = build(tmp_path)
    assert [line[0] for line in again] == ["datasync-agent", "datasync-control"]
    for first in images.iterdir():
        assert first.read_bytes() == (tmp_path / first.name).read_bytes(), first.name
    assert sorted(path.name for path in images.iterdir()) == sorted(
        path.name for path in tmp_path.iterdir()
    )


def test_the_time_is_the_one_that_is_given(build, tmp_path):
    build(tmp_path, "agent", epoch=1600000000)
    configuration, members = opened(next(tmp_path.glob("*.docker.tar")))
    assert configuration["created"] == "2020-09-13T12:26:40Z"
    assert {member.mtime for member in members} == {1600000000}


@pytest.mark.parametrize("name", ["agent", "control"])
def test_nothing_is_in_an_image_but_the_program_and_certificates(images, name):
    configuration, members = opened(next(images.glob(f"datasync-{name}-*.docker.tar")))
    files = {member.name for member in members if member.isfile()}
    assert files == {f"usr/bin/datasync-{name}", BUNDLE}
    assert all(member.isfile() or member.isdir() for member in members), members
    owned = {member.name: (member.uid, member.gid) for member in members}
    state = f"var/lib/datasync-{name}"
    assert owned.pop(state) == (2000, 2000)
    assert set(owned.values()) == {(0, 0)}
    assert all(not member.mode & 0o6022 for member in members), members

    config = configuration["config"]
    assert config["User"] == "2000:2000"
    assert config["Entrypoint"] == [f"/usr/bin/datasync-{name}"]
    assert config["Volumes"] == {f"/{state}": {}}
    labels = {key.removeprefix("org.opencontainers.image."): v for key, v in config["Labels"].items()}
    assert labels["title"] == f"datasync-{name}" and labels["licenses"] == "Apache-2.0"
    assert set(labels) == {"title", "description", "licenses", "version", "revision"}
    if name == "agent":
        assert config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/datasync-agent", "--health"]


def test_the_programs_need_nothing_of_the_machine(images, tmp_path):
    _, members = opened(next(images.glob("datasync-agent-*.docker.tar")))
    assert members
    for path in images.glob("*.docker.tar"):
        files = blobs(path)
        for name in json.loads(files["manifest.json"])[0]["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(files[name])) as layer:
                layer.extractall(tmp_path, filter="data")
    for program in (tmp_path / "usr/bin").iterdir():
        assert "NEEDED" not in run(["readelf", "-d", program]).stdout, program


def test_the_archive_for_registries_holds_the_same_image(engine, images):
    for path in images.glob("*.oci.tar"):
        files = blobs(path)
        for name, data in files.items():
            if name.startswith("blobs/"):
                assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
        manifest = json.loads(files["index.json"])["manifests"][0]
        image = json.loads(files["blobs/sha256/" + manifest["digest"].removeprefix("sha256:")])
        beside = path.with_name(path.name.replace(".oci.", ".docker."))
        docker = blobs(beside)
        config = json.loads(docker["manifest.json"])[0]["Config"]
        assert image["config"]["digest"] == "sha256:" + config.removesuffix(".json")
        engine("load", "-q", "-i", path)
        # One image to the engine, in the form that came last: that with the health check.
        engine("load", "-q", "-i", beside)


def test_it_can_be_laid_upon_another_base(engine, build, tmp_path):
    base = tmp_path / "base.tar"
    with tarfile.open(base, "w") as archive:
        marker = tarfile.TarInfo("etc/of-the-base")
        marker.size = 5
        archive.addfile(marker, io.BytesIO(b"here\n"))
    engine("import", "-q", base, "localhost/some-base:1")
    build(tmp_path / "made", "--base", "localhost/some-base:1", "agent")
    configuration, members = opened(next((tmp_path / "made").glob("*.docker.tar")))
    assert {"etc/of-the-base", BUNDLE} <= {member.name for member in members}
    assert configuration["config"]["Entrypoint"] == ["/usr/bin/datasync-agent"]


def test_what_is_shipped_is_small(images, request):
    if not request.config.getoption("--dist"):
        pytest.skip("only with tests/run --full: the programs here are not those that are shipped")
    for path in images.glob("*.docker.tar"):
        assert path.stat().st_size <= 12 * 1024 * 1024, path
