"""rclone, by default and tuned."""

import os
import shlex

from world.process import run

from .peer import Peer, endpoint

FEW = ["--transfers", "4"]
MANY = ["--transfers", "64", "--checkers", "64"]
LARGE = {
    "defaults": FEW,
    "tuned": [
        *FEW,
        *("--s3-chunk-size", "16M", "--s3-upload-concurrency", "8"),
        *("--s3-disable-checksum", "--s3-no-head"),
    ],
    # Only PutObject can be left unsigned, and only files in one piece are sent by it.
    "one PUT per file": [
        *FEW,
        *("--s3-upload-cutoff", "5G", "--multi-thread-streams", "0", "--s3-no-head"),
    ],
}
SMALL = {"--transfers 64": MANY, "--transfers 64, tuned": [*MANY, "--s3-no-head"]}
BACK_LARGE = {"defaults": FEW, "8 streams per file": [*FEW, "--multi-thread-streams", "8"]}
BACK_SMALL = {"--transfers 64": MANY}
UNCHANGED = {
    "defaults": [],
    "--checkers 64": MANY,
    # Compares with the time of the upload, which a listing tells: one that is not the file's.
    "--update, upload times": [*MANY, "--update", "--use-server-modtime"],
}


def rclones(variants, sink, tls=False):
    return {variant: _rclone(variant, flags, sink, tls) for variant, flags in variants.items()}


def _rclone(variant, flags, sink, tls):
    def command(root, bucket):
        return ["rclone", "copy", root, f":s3:{bucket}", *_access(sink, tls), *flags]

    return Peer(f"rclone ({variant})", command)


def rclones_back(variants, store):
    """From a bucket to local files, which are on the disk at the end."""
    return {variant: _rclone_back(variant, flags, store) for variant, flags in variants.items()}


def _rclone_back(variant, flags, store):
    def command(root, bucket):
        copy = ["rclone", "copy", f":s3:{bucket}", root, *_access(store), *flags]
        return ["sh", "-c", f"{shlex.join(copy)} && sync --file-system {shlex.quote(root)}"]

    return Peer(f"rclone ({variant}), sync", command)


def _access(sink, tls=False):
    flags = ["--config", os.devnull, "--s3-provider", "Other"]
    flags += ["--s3-endpoint", endpoint(sink, tls), "--s3-access-key-id", sink.access_key]
    flags += ["--s3-secret-access-key", sink.secret_key, "--s3-region", "us-east-1"]
    flags += ["--s3-force-path-style=true", "--s3-use-unsigned-payload=true"]
    flags += ["--s3-no-check-bucket", "--retries", "1", "--low-level-retries", "1"]
    return [*flags, "--ca-cert", str(sink.authority)] if tls else flags


def version():
    return run(["rclone", "version"]).stdout.splitlines()[0]
