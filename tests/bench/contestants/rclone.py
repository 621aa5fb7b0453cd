"""rclone, by default and tuned."""

import os

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
        common = ["rclone", "copy", root, f":s3:{bucket}", "--config", os.devnull]
        common += ["--s3-provider", "Other", "--s3-endpoint", endpoint(sink, tls)]
        common += ["--s3-access-key-id", sink.access_key]
        common += ["--s3-secret-access-key", sink.secret_key, "--s3-region", "us-east-1"]
        common += ["--s3-force-path-style=true", "--s3-use-unsigned-payload=true"]
        common += ["--s3-no-check-bucket", "--retries", "1", "--low-level-retries", "1"]
        if tls:
            common += ["--ca-cert", str(sink.authority)]
        return [*common, *flags]

    return Peer(f"rclone ({variant})", command)


def version():
    return run(["rclone", "version"]).stdout.splitlines()[0]
