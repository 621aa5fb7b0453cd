"""datasync-control as a program: its command line, and clients for its API."""

import json
import os
import re

import boto3
from botocore.config import Config

from .process import Daemon, Failed, binary, run
from .secrets import remember

API_PORT = 8443
AGENT_PORT = 9443
REGION = "us-east-1"
ACCOUNT = "123456789012"


class CliFailed(Exception):
    """The AWS CLI or our own said no; the text is what it printed."""

    def __init__(self, answer):
        super().__init__(f"exit code {answer.returncode}: {answer.stderr}{answer.stdout}")
        self.returncode = answer.returncode


class Control:
    """One control plane with its state directory."""

    def __init__(
        self, directory, logs, api_port=API_PORT, agent_port=AGENT_PORT, roles=(), name="control",
        **settings,
    ):
        directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / "control"
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        self.api_port = api_port
        self.agent_port = agent_port
        self.endpoint = f"https://127.0.0.1:{api_port}"
        self.configuration = directory / "control.toml"
        self.configuration.write_text(
            f'state_dir = "{self.state}"\n'
            f'api_listen = "127.0.0.1:{api_port}"\n'
            f'agent_listen = "127.0.0.1:{agent_port}"\n'
            f'region = "{REGION}"\n'
            f'account = "{ACCOUNT}"\n'
            "heartbeat_interval_seconds = 2\n"
            "offline_after_seconds = 8\n"
            + "".join(f'{setting} = "{value}"\n' for setting, value in settings.items())
            + "".join(f'[[role]]\narn = "{role}"\nkind = "sealed-key"\n' for role in roles)
        )
        self.server = Daemon(
            name,
            [binary("datasync-control"), "serve", "--config", self.configuration],
            logs / f"{name}.log",
        )
        self.access_key = self.secret_key = None
        # A file of CAs to trust in place of the one that there was at first.
        self.trusted = None

    def start(self):
        """Serves, with an access key made on the first start."""
        self.server.start()
        self.server.wait_for_port(self.api_port)
        self.server.wait_for_port(self.agent_port)
        if self.access_key is None:
            self.access_key, self.secret_key = self.create_access_key()

    def stop(self):
        return self.server.stop()

    def cli(self, *arguments, text_in=None, env=None):
        """Runs `datasync-control ARGUMENT…`; answers what it printed."""
        command = [binary("datasync-control"), *arguments, "--config", self.configuration]
        answer = run(command, text_in=text_in, env=env)
        if answer.returncode != 0:
            raise CliFailed(answer)
        return answer.stdout

    def create_access_key(self):
        printed = self.cli("access-key", "create")
        key = re.search(r"\bAKIA[A-Z0-9]{16}\b", printed)
        secret = re.search(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])", printed)
        if not key or not secret:
            raise Failed(f"access-key create printed neither key nor secret as AWS does:\n{printed}")
        return key.group(), remember(f"access key {key.group()}", secret.group())

    def create_activation_key(self, *arguments):
        printed = self.cli("activation-key", "create", *arguments)
        found = re.search(r"\b(?:[A-Z0-9]{5}-){4}[A-Z0-9]{5}\b", printed)
        if not found:
            raise Failed(f"activation-key create printed no key:\n{printed}")
        return remember("an activation key made beforehand", found.group())

    @property
    def ca(self):
        """The file with the CA certificate that clients and agents trust."""
        path = self.trusted or self.home / "ca.pem"
        if not path.exists():
            printed = self.cli("ca", "show")
            found = re.search(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", printed, re.S)
            path.write_text(found.group())
        return path

    @property
    def fingerprint(self):
        """SHA-256 of the CA certificate, as `ca show` prints it."""
        found = re.search(r"\b(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}\b", self.cli("ca", "show"))
        return found.group()

    def boto(self, access_key=None, secret_key=None, read_timeout=60):
        """A boto3 client of the DataSync API."""
        return boto3.client(
            "datasync",
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            region_name=REGION,
            verify=str(self.ca),
            config=Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=read_timeout
            ),
        )

    def environment(self):
        """What a shell needs so that the AWS CLI talks to this control."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "AWS_ENDPOINT_URL_DATASYNC": self.endpoint,
            "AWS_CA_BUNDLE": str(self.ca),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def aws(self, *arguments):
        """Runs `aws datasync ARGUMENT…`; answers the parsed JSON, or None if it printed nothing."""
        answer = run(["aws", "datasync", *arguments], env=self.environment())
        if answer.returncode != 0:
            raise CliFailed(answer)
        return json.loads(answer.stdout) if answer.stdout.strip() else None
