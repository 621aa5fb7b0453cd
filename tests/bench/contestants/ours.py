"""The agent, reading over NFS; control and the NFS server are not counted."""

import re
import time

from bench.result import Result, Void
from world.process import wait_until
from world.site import shown

VERIFY_MODE = "ONLY_FILES_TRANSFERRED"
RUN_SECONDS_MAX = 3600
AVAILABLE_SECONDS_MAX = 120
OPTIONS = {"VerifyMode": VERIFY_MODE, "LogLevel": "OFF"}


class Ours:
    """Started anew for each run, at a site whose NFS server it reads from."""

    name = "datasync-agent"

    def __init__(self, site, tls=False, host=None, version="NFS3"):
        self.site = site
        self.tls = tls
        self.host = host
        self.version = version

    def task(self, root, bucket):
        """A task that is AVAILABLE."""
        site, changed = self.site, {}
        if self.tls:
            certificate = site.store.authority.read_bytes()
            changed = {
                "ServerProtocol": "HTTPS",
                "ServerPort": site.store.tls_port,
                "ServerCertificate": certificate,
            }
        source = site.nfs_location(root, host=self.host, version=self.version)
        arn = site.create_task(source, site.store_location(bucket, **changed), OPTIONS)
        site.wait_task(arn, "AVAILABLE")
        return arn

    def restart(self, task=None):
        """A new process; control tries the tasks of an agent that has come back, so the task that
        is to run is waited for."""
        agent, datasync = self.site.agent, self.site.datasync
        agent.stop()
        agent.start()
        agent.wait_online(datasync)
        if task:
            wait_until(
                f"{task} is AVAILABLE again",
                lambda: datasync.describe_task(TaskArn=task)["Status"] == "AVAILABLE",
                AVAILABLE_SECONDS_MAX,
            )

    def execute(self, task, tree):
        """One execution by an agent that is online: from StartTaskExecution to its end."""
        site, agent = self.site, self.site.agent
        cpu, began = agent.server.cpu_seconds(), time.monotonic()
        ended = site.wait_execution(site.launch(task), RUN_SECONDS_MAX)
        seconds = time.monotonic() - began
        cpu = agent.server.cpu_seconds() - cpu
        if ended["Status"] != "SUCCESS":
            raise Void(f"{shown(ended)}")
        troubles = re.findall(r"(?im)^.*(?:\bERROR\b|\bWARN\b|\bretry).*$", agent.server.output())
        if troubles:
            raise Void(f"the agent logged: {troubles[0]}")
        return Result(tree, seconds, cpu, agent.server.rss_peak_mib())

    def copy(self, tree, bucket):
        self.restart()
        return self.execute(self.task(tree.root, bucket), tree)

    def directory_objects(self, tree):
        """Each directory is an object too."""
        return tree.directories
