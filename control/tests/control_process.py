"""A control plane of its own: the real binary on ports that the system chooses."""

import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import boto3
from world.postgres import name_of
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/unreachable"
EFS = f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:file-system/fs-0123456789abcdef0"
NETWORK = {
    "SubnetArn": f"arn:aws:ec2:us-east-1:{ACCOUNT}:subnet/subnet-0123456789abcdef0",
    "SecurityGroupArns": [f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/sg-0123456789abcdef0"],
}
# Nothing listens on this port: control cannot reach the store and leaves the test to an agent.
NOWHERE = "http://127.0.0.1:9"


def binary():
    return str(pathlib.Path(os.environ["DATASYNC_BIN_DIR"]) / "datasync-control")


class Control:
    def __init__(
        self, directory, postgres=None, account=ACCOUNT, region=REGION, partition="aws"
    ):
        self.postgres = postgres
        self.database = postgres and postgres.new_database()
        directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / "state"
        self.log = directory / "control.log"
        self.config = directory / "control.toml"
        self.config.write_text(
            f'state_dir = "{self.state}"\napi_listen = "127.0.0.1:0"\n'
            'agent_listen = "127.0.0.1:0"\napi_tls = "false"\nlog_format = "json"\n'
            f'account = "{account}"\nregion = "{region}"\npartition = "{partition}"\n'
            + (f'database_url = "{self.database}"\n' if postgres else "")
        )
        self.state.mkdir(mode=0o700)
        self.process = None
        self.key = json.loads(self.command("access-key", "create"))
        self.set_role(ROLE, NOWHERE)
        self.start()

    def command(self, *arguments, stdin=""):
        done = subprocess.run(
            [binary(), "--config", str(self.config), *arguments],
            input=stdin, capture_output=True, text=True, timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def set_role(self, role, endpoint):
        self.command(
            "role", "set-key", role, "--access-key-id", "store", "--endpoint", endpoint,
            stdin="CANARY-role-secret\n",
        )

    def start(self):
        offset = self.log.stat().st_size if self.log.exists() else 0
        self.process = subprocess.Popen(
            [binary(), "--config", str(self.config), "serve"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log.open("ab"),
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.log.read_bytes()[offset:].decode()
            found = re.search(r'"api_addr":"([^"]+)"', text)
            if found:
                self.address = found.group(1)
                self.endpoint = f"http://{self.address}"
                return
            assert self.process.poll() is None, text
            time.sleep(0.05)
        raise AssertionError("control did not say where it listens")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40) == 0

    def client(self, key=None, secret=None, region=REGION, **config):
        return boto3.client(
            "datasync",
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=key or self.key["AccessKeyId"],
            aws_secret_access_key=secret or self.key["SecretAccessKey"],
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def activation_key(self):
        found = re.search(
            r"[A-Z0-9]{5}(-[A-Z0-9]{5}){4}", self.command("activation-key", "create")
        )
        return found.group(0)

    def edit(self, kind, identity, change):
        """Changes a row as an agent's report would."""
        if self.postgres:
            return self._edit_by_psql(kind, identity.rsplit("/", 1)[-1], change)
        database = sqlite3.connect(self.state / "control.sqlite3", timeout=30)
        with database:
            where = (kind, identity.rsplit("/", 1)[-1])
            row = database.execute(
                "SELECT body FROM records WHERE kind = ? AND id = ?", where
            ).fetchone()
            body = json.loads(row[0])
            change(body["record"])
            database.execute(
                "UPDATE records SET body = ?, version = version + 1 WHERE kind = ? AND id = ?",
                (json.dumps(body), *where),
            )
        database.close()

    def _edit_by_psql(self, kind, identity, change):
        def psql(sql, **variables):
            return self.postgres.psql(
                name_of(self.database), sql, kind=kind, identity=identity, **variables
            )

        where = "WHERE kind = :'kind' AND id = :'identity'"
        body = json.loads(psql(f"SELECT body FROM records {where};"))
        change(body["record"])
        text = json.dumps(body)
        psql(f"UPDATE records SET body = :'body', version = version + 1 {where};", body=text)
