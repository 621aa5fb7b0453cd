"""A running quickstart-store for the tests of this directory."""

import os
import re
import select
import signal
import subprocess
from pathlib import Path

import boto3
from botocore.config import Config

WORKSPACE = Path(__file__).resolve().parents[3]
ACCESS_KEY = "AKIDTEST"
SECRET_KEY = "secret-of-the-test-key"
REGION = "eu-central-1"


def program():
    """The binary: from STORE_BINARY, or built now."""
    given = os.environ.get("STORE_BINARY")
    if given:
        return given
    subprocess.run(["cargo", "build", "-q", "-p", "quickstart-store"], cwd=WORKSPACE, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", WORKSPACE / "target"))
    return str(target / "debug" / "quickstart-store")


class Store:
    """One process over one directory; may be stopped and started again."""

    def __init__(self, root, *options):
        self.root, self.options, self.process = root, options, None
        self.start()

    def start(self, listen="127.0.0.1:0"):
        self.process = subprocess.Popen(
            [program(), "--root", str(self.root), "--listen", listen, "--region", REGION,
             "--access-key", f"{ACCESS_KEY}:{SECRET_KEY}", *self.options],
            stdout=subprocess.PIPE, text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        assert ready, "the store did not say that it is ready"
        line = self.process.stdout.readline()
        self.endpoint = re.fullmatch(r"listening on (http://\S+)\n", line).group(1)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code

    def client(self, access_key=ACCESS_KEY, secret_key=SECRET_KEY, **config):
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION,
            aws_access_key_id=access_key, aws_secret_access_key=secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **config))

    def environment(self):
        return {
            "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/"),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": "",
        }
