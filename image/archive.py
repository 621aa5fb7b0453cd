"""Writes what an engine built anew, so that the same content gives the same bytes.

    archive.py SAVED FOLDER NAME REFERENCE EPOCH

SAVED is what `podman save` or `docker save` wrote, in docker-archive form. FOLDER gets
NAME.docker.tar, which `podman load` and `docker load` take with its health check, and NAME.oci.tar,
which is for registries: OCI's form has no place for health checks. Both hold the same layers and the
same configuration, so they are one image. Times are EPOCH, in seconds; layers are sorted and
compressed.
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

CONFIGURATION = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
KEPT = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "Healthcheck",
)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def layer(data, epoch):
    """A layer's members in the order of their names, with one time; None if it has none."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as given, tarfile.open(
        fileobj=made, mode="w", format=tarfile.PAX_FORMAT
    ) as written:
        members = sorted(given.getmembers(), key=lambda member: member.name)
        for member in members:
            content = given.extractfile(member) if member.isfile() else None
            member.mtime = epoch
            member.uname = member.gname = ""
            member.pax_headers = {
                key: value
                for key, value in member.pax_headers.items()
                if key not in ("mtime", "atime", "ctime")
            }
            written.addfile(member, content)
    return made.getvalue() if members else None


def configuration(given, layers, epoch):
    created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {key: given["config"][key] for key in KEPT if given["config"].get(key)}
    labels = {
        key: value
        for key, value in config.get("Labels", {}).items()
        if not key.startswith("io.buildah.")
    }
    return {
        "architecture": given["architecture"],
        "os": given["os"],
        "created": created,
        "config": config | ({"Labels": labels} if labels else {}),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(data)}" for data in layers]},
        "history": [{"created": created, "created_by": "image/build"} for _ in layers],
    }


def write(path, files, epoch):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), epoch, 0o644
            archive.addfile(member, io.BytesIO(data))


def descriptor(kind, data):
    return {"mediaType": kind, "digest": f"sha256:{digest(data)}", "size": len(data)}


def main(saved, folder, name, reference, epoch):
    epoch = int(epoch)
    with tarfile.open(saved) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        given = json.load(archive.extractfile(manifest["Config"]))
        read = [layer(archive.extractfile(path).read(), epoch) for path in manifest["Layers"]]
    layers = [data for data in read if data is not None]
    config = canonical(configuration(given, layers, epoch))
    packed = [gzip.compress(data, 9, mtime=0) for data in layers]
    docker = {f"{digest(data)}.tar.gz": data for data in packed}
    listed = {
        "Config": f"{digest(config)}.json",
        "RepoTags": [reference],
        "Layers": [f"{digest(data)}.tar.gz" for data in packed],
    }
    docker |= {listed["Config"]: config, "manifest.json": canonical([listed])}
    write(Path(folder) / f"{name}.docker.tar", docker, epoch)

    image = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIGURATION, config),
            "layers": [descriptor(LAYER, data) for data in packed],
        }
    )
    tag = {"org.opencontainers.image.ref.name": reference.rpartition(":")[2]}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, image) | {"annotations": tag}],
    }
    oci = {f"blobs/sha256/{digest(data)}": data for data in [config, image, *packed]}
    oci |= {"index.json": canonical(index)}
    oci |= {"oci-layout": canonical({"imageLayoutVersion": "1.0.0"})}
    write(Path(folder) / f"{name}.oci.tar", oci, epoch)
    size = sum(len(data) for data in [config, image, *packed])
    print(f"image sha256:{digest(config)} manifest sha256:{digest(image)} bytes {size}")


if __name__ == "__main__":
    main(*sys.argv[1:])
