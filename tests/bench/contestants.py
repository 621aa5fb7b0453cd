"""One measured run of each program, and what makes it void."""

import os
import re
import subprocess
import time
from dataclasses import dataclass

from world.site import shown

VERIFY_MODE = "ONLY_FILES_TRANSFERRED"
RUN_SECONDS_MAX = 1800


class Void(Exception):
    """The run is not comparable: errors, retries, or not everything arrived."""


@dataclass
class Result:
    """One run."""

    seconds: float
    cpu_seconds: float
    rss_mib: float
    requests: int = 0
    signing: str = ""

    def __str__(self):
        return (
            f"{self.seconds:.2f} s, {self.cpu_seconds:.2f} CPU s, {self.rss_mib:.0f} MiB, "
            f"{self.requests} requests, {self.signing}"
        )


def complete(workload, stats, result, metadata_objects=0):
    """Everything arrived, nothing was cut off; fills in what the sink counted."""
    counts = stats["counts"]
    if stats["bytes"] != workload.bytes:
        raise Void(f"{stats['bytes']} of {workload.bytes} bytes arrived")
    if not workload.count <= stats["objects"] <= workload.count + metadata_objects:
        raise Void(f"{stats['objects']} objects for {workload.count} files")
    if counts.get("bodies cut off"):
        raise Void(f"{counts['bodies cut off']} bodies were cut off")
    failed = {name: count for name, count in counts.items() if name.startswith("answers 5")}
    if failed:
        raise Void(f"the sink failed: {failed}")
    result.requests = sum(n for name, n in counts.items() if name.startswith("requests "))
    signing = {name.removeprefix("payload ") for name in counts if name.startswith("payload ")}
    result.signing = ", ".join(sorted(signing))


class Ours:
    """The agent, started anew for each run; control and the NFS server are not counted."""

    name = "datasync-agent"

    def __init__(self, site, root):
        self.site = site
        self.root = root

    def run(self, workload, bucket):
        site, agent = self.site, self.site.agent
        agent.stop()
        agent.start()
        agent.wait_online(site.datasync)
        task = site.task(self.root, bucket, options={"VerifyMode": VERIFY_MODE, "LogLevel": "OFF"})
        cpu, began = agent.server.cpu_seconds(), time.monotonic()
        ended = site.wait_execution(site.launch(task), RUN_SECONDS_MAX)
        seconds = time.monotonic() - began
        cpu = agent.server.cpu_seconds() - cpu
        if ended["Status"] != "SUCCESS":
            raise Void(f"{shown(ended)}")
        troubles = re.findall(r"(?im)^.*(?:\bERROR\b|\bWARN\b|\bretry).*$", agent.server.output())
        if troubles:
            raise Void(f"the agent logged: {troubles[0]}")
        return Result(seconds, cpu, agent.server.rss_peak_mib())

    def check(self, workload, stats, result):
        directories = 1 + workload.count // 1000
        complete(workload, stats, result, metadata_objects=directories)


class Rclone:
    """rclone as a process of its own for each run."""

    def __init__(self, variant, flags, root, sink):
        self.name = f"rclone ({variant})"
        self.flags = flags
        self.root = root.decode()
        self.sink = sink

    def run(self, workload, bucket):
        remote = f":s3:{bucket}"
        command = ["rclone", "copy", self.root, remote, "--config", os.devnull]
        command += ["--s3-provider", "Other", "--s3-endpoint", self.sink.endpoint]
        command += ["--s3-access-key-id", self.sink.access_key]
        command += ["--s3-secret-access-key", self.sink.secret_key, "--s3-region", "us-east-1"]
        command += ["--s3-force-path-style=true", "--s3-use-unsigned-payload=true"]
        command += ["--s3-no-check-bucket", "--retries", "1", "--low-level-retries", "1"]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, *self.flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        if os.waitstatus_to_exitcode(status) != 0 or re.search(r"(?i)error|retry", said):
            raise Void(f"rclone said: {said[-500:]}")
        return Result(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def check(self, workload, stats, result):
        complete(workload, stats, result)
