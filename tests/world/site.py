"""Everything of one site together: control, an activated agent, and what tests do with them."""

import itertools
import os
from pathlib import Path

from .agent import Agent
from .control import Control
from .process import Failed, wait_until
from .secrets import assert_no_secrets

TERMINAL = ("SUCCESS", "ERROR")
POLL_SECONDS = 0.1
ROLE = "arn:aws:iam::123456789012:role/store"


# Modules share the exports: no two sites give a directory the same name.
_numbers = itertools.count(1)


class Site:
    """Control and one agent, beside an NFS server and a store that other sites share."""

    def __init__(self, directory, logs, nfs, store, controls=None, **agent_settings):
        self.directory = Path(directory)
        self.logs = Path(logs)
        self.nfs = nfs
        self.store = store
        self.controls = controls or [Control(self.directory, self.logs, roles=[ROLE])]
        self.control = self.controls[0]
        self.agent_settings = agent_settings
        self.agent = None
        self.datasync = None

    def start(self, agent_environment=None):
        for control in self.controls:
            control.start()
        self.datasync = self.control.boto()
        self.agent = Agent("agent", self.directory, self.logs, *self.controls, **self.agent_settings)
        self.agent.server.env |= agent_environment or {}
        self.agent.start()
        self.agent.activate(self.datasync)
        return self

    def stop(self):
        """As an operator does it: both must end by themselves, and no secret may lie about."""
        failures = []
        for server in (self.agent, *self.controls):
            try:
                if server is not None:
                    server.stop()
            except Failed as failed:
                failures.append(str(failed))
        assert not failures, "\n".join(failures)
        assert_no_secrets(self.directory, self.logs)

    def source(self, name, squashed=False):
        """A new directory of the export, as bytes: names below it are bytes too."""
        base = self.nfs.squashed if squashed else self.nfs.open
        path = os.fsencode(base / f"{name}-{next(_numbers)}")
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def bucket(self, name):
        return self.store.bucket(f"{name}-{next(_numbers)}-{os.urandom(3).hex()}")

    def nfs_location(self, path, host=None, agents=None, version=None):
        return self.datasync.create_location_nfs(
            ServerHostname=host or self.nfs.host,
            Subdirectory=os.fsdecode(path),
            OnPremConfig={"AgentArns": agents or [self.agent.arn]},
            **({"MountOptions": {"Version": version}} if version else {}),
        )["LocationArn"]

    def store_location(self, bucket, prefix="", **changed):
        """The store as an object storage location."""
        described = {
            "ServerHostname": self.store.host,
            "ServerPort": self.store.port,
            "ServerProtocol": "HTTP",
            "BucketName": bucket,
            "Subdirectory": "/" + prefix,
            "AccessKey": self.store.access_key,
            "SecretKey": self.store.secret_key,
            "AgentArns": changed.get("AgentArns") or [self.agent.arn],
        }
        return self.datasync.create_location_object_storage(**described | changed)["LocationArn"]

    def create_task(self, source, destination, options=None, **more):
        return self.datasync.create_task(
            SourceLocationArn=source,
            DestinationLocationArn=destination,
            Options=options or {},
            **more,
        )["TaskArn"]

    def task(self, path, bucket, prefix="", options=None, **more):
        """A task from a directory of the export to a bucket of the store, AVAILABLE."""
        arn = self.create_task(
            self.nfs_location(path), self.store_location(bucket, prefix), options, **more
        )
        self.wait_task(arn, "AVAILABLE")
        return arn

    def wait_task(self, arn, status, timeout=60):
        """The description once the task has left CREATING; anything but `status` is a failure."""

        def settled():
            described = self.datasync.describe_task(TaskArn=arn)
            return described if described["Status"] != "CREATING" else None

        described = wait_until(f"{arn} leaves CREATING", settled, timeout, POLL_SECONDS)
        shown = {name: described.get(name) for name in ("Status", "ErrorCode", "ErrorDetail")}
        assert described["Status"] == status, shown
        return described

    def launch(self, task, options=None, **more):
        if options:
            more["OverrideOptions"] = options
        return self.datasync.start_task_execution(TaskArn=task, **more)["TaskExecutionArn"]

    def describe(self, execution):
        return self.datasync.describe_task_execution(TaskExecutionArn=execution)

    def wait_execution(self, execution, timeout=120, until=None):
        """The description of an execution that ended, or for which `until` holds."""

        def met():
            described = self.describe(execution)
            done = described["Status"] in TERMINAL
            if until is None:
                return described if done else None
            if until(described):
                return described
            if done:
                raise Failed(f"ended before what the test waits for: {shown(described)}")
            return None

        return wait_until(f"{execution} ends", met, timeout, POLL_SECONDS)

    def run(self, task, timeout=120, status="SUCCESS", options=None, **more):
        """Starts an execution and waits for its end; any other end is a failure."""
        described = self.wait_execution(self.launch(task, options, **more), timeout)
        assert described["Status"] == status, shown(described)
        return described


def shown(described):
    """A description without what nobody looks at."""
    hidden = ("ResponseMetadata", "Options", "Includes", "Excludes")
    return {name: value for name, value in described.items() if name not in hidden}
