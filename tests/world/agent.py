"""datasync-agent as a program."""

import http.client
import os
import urllib.parse

from .process import Daemon, binary, wait_until
from .secrets import permit, remember

ACTIVATION_PORT = 80
REGION = "us-east-1"


class Agent:
    """One agent with its state directory."""

    def __init__(self, name, directory, logs, *controls, port=ACTIVATION_PORT, **settings):
        self.name = name
        self.state = directory / name
        self.port = port
        self.arn = None
        self.settings = {
            "state_dir": self.state,
            "control": ",".join(f"127.0.0.1:{control.agent_port}" for control in controls),
            "control_ca": controls[0].ca,
            "activation_listen": f"127.0.0.1:{port}",
            "name": name,
        } | settings
        self.configuration = directory / f"{name}.toml"
        self.write()
        self.server = Daemon(
            name,
            [binary("datasync-agent"), "run", "--config", self.configuration],
            logs / f"{name}.log",
            env=os.environ | {"RUST_BACKTRACE": "1"},
        )

    def write(self):
        """The configuration, for the next start or SIGHUP."""
        tables = {"": []}
        for member, value in self.settings.items():
            if value is None:
                continue
            table, _, member = member.rpartition(".")
            shown = value if isinstance(value, int) else f'"{value}"'
            tables.setdefault(table, []).append(f"{member} = {shown}")
        plain = tables.pop("")
        lines = plain + [
            line for table, members in tables.items() for line in [f"[{table}]", *members]
        ]
        self.configuration.write_text("\n".join(lines) + "\n")
        if key := self.settings.get("activation_key"):
            permit(key, self.configuration)

    def start(self):
        self.server.start()
        return self

    def stop(self):
        return self.server.stop()

    def kill(self):
        self.server.kill()

    def get(self, query, timeout=10):
        """One GET to the activation port: status, headers by capitalised name, body as text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", f"/?{query}")
            answer = connection.getresponse()
            headers = {name.title(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read().decode()
        finally:
            connection.close()

    def activation_key(self):
        """A key by the redirect, as Terraform's provider asks for it."""
        self.server.wait_for_port(self.port)

        def asked():
            status, headers, body = self.get(f"gatewayType=SYNC&activationRegion={REGION}")
            assert status == 302, f"{status}: {body}"
            query = urllib.parse.urlsplit(headers["Location"]).query
            return urllib.parse.parse_qs(query).get("activationKey")

        key = wait_until("the agent gives an activation key", asked, 20, 0.5)[0]
        return remember(f"an activation key of agent {self.name}", key)

    def activate(self, datasync):
        """Over HTTP and CreateAgent; answers the ARN once the agent is ONLINE."""
        key = self.activation_key()
        arn = datasync.create_agent(ActivationKey=key, AgentName=self.name)["AgentArn"]
        self.arn = arn
        self.wait_online(datasync)
        return arn

    def wait_online(self, datasync, timeout=30):
        def online():
            return datasync.describe_agent(AgentArn=self.arn)["Status"] == "ONLINE"

        self.server.wait_for(f"{self.arn} is ONLINE", online, timeout)

    def wait_offline(self, datasync, timeout=5):
        """After a clean stop, at once: as soon as control has written it down."""

        def offline():
            return datasync.describe_agent(AgentArn=self.arn)["Status"] == "OFFLINE"

        wait_until(f"{self.arn} is OFFLINE", offline, timeout)
