"""Another program, as a process of its own for each run, reading local files."""

import os
import re
import subprocess
import time

from bench.result import Result, Void


class Peer:
    """`command` makes the arguments of a root and a bucket."""

    def __init__(self, name, command, env=None):
        self.name = name
        self.command = command
        self.env = os.environ | (env or {})

    def copy(self, tree, bucket):
        began = time.monotonic()
        process = subprocess.Popen(
            self.command(tree.root.decode(), bucket),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self.env,
        )
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        if os.waitstatus_to_exitcode(status) != 0 or re.search(r"(?i)error|retry", said):
            raise Void(f"{self.name} said: {said[-500:]}")
        return Result(tree, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def directory_objects(self, tree):
        return 0


def environment(sink, tls):
    """What programs with an SDK of AWS take from it."""
    trust = {"AWS_CA_BUNDLE": str(sink.authority)} if tls else {}
    return trust | {
        "AWS_ACCESS_KEY_ID": sink.access_key,
        "AWS_SECRET_ACCESS_KEY": sink.secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def endpoint(sink, tls=False):
    return sink.tls_endpoint if tls else sink.endpoint
