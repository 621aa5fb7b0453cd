"""Processes with a log file each and a bound on every wait."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something in the world did not come about in time, or ended."""


def wait_until(what, condition, timeout, interval=0.05):
    """Calls `condition` until it answers something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout} s: {what}")
        time.sleep(interval)


def run(arguments, timeout=60, env=None, text_in=None):
    """Runs a command to its end; the answer has returncode, stdout and stderr as text."""
    return subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        env=env,
        input=text_in,
        check=False,
    )


def binary(name):
    """A program of ours, from $DATASYNC_BIN_DIR."""
    path = Path(os.environ["DATASYNC_BIN_DIR"]) / name
    if not path.exists():
        raise Failed(f"{path} is missing: build it, or set DATASYNC_BIN_DIR")
    return path


def accepts(port, host="127.0.0.1"):
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port():
    """A port that nothing listens on; the world has only our own servers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A server that is started, watched and stopped. Its output is appended to one log."""

    started = []

    def __init__(self, name, arguments, log, env=None, stop_seconds=15, identity=None):
        self.name = name
        self.arguments = [str(argument) for argument in arguments]
        self.log = Path(log)
        self.env = env
        self.identity = identity or {}
        self.stop_seconds = stop_seconds
        # Of a pseudo-terminal: what it writes and reads, but for its errors. Its own after a start.
        self.terminal = None
        self.process = None
        self._log_start = 0

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            terminal = self.terminal
            self.process = subprocess.Popen(
                self.arguments, stdin=terminal or subprocess.DEVNULL, stdout=terminal or log, stderr=log,
                env=self.env, **self.identity,
            )
        if terminal:
            os.close(terminal)
            self.terminal = None
        if self not in Daemon.started:
            Daemon.started.append(self)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def output(self):
        """What it wrote since it was last started."""
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _tail(self):
        return "\n".join(self.output().splitlines()[-40:])

    def wait_for(self, what, condition, timeout):
        """Like `wait_until`, and fails at once when the process ends."""

        def met_or_dead():
            answer = condition()
            if not answer and not self.alive():
                code = None if self.process is None else self.process.returncode
                raise Failed(f"{self.name} ended ({code}) before: {what}\n{self._tail()}")
            return answer

        try:
            return wait_until(f"{self.name}: {what}", met_or_dead, timeout)
        except Failed as failed:
            raise Failed(f"{failed}\n{self._tail()}") from None

    def wait_for_line(self, pattern, timeout=20):
        """Waits for a line in its output; answers the match."""
        return self.wait_for(
            f"a line like {pattern!r}", lambda: re.search(pattern, self.output(), re.M), timeout
        )

    def wait_for_port(self, port, timeout=20):
        self.wait_for(f"listening on port {port}", lambda: accepts(port), timeout)

    def wait_for_end(self, timeout=20):
        """The exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {timeout} s\n{self._tail()}") from None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a crash does it."""
        if self.alive():
            self.process.kill()
        if self.process is not None:
            self.process.wait(10)

    def stop(self):
        """Asks it to end and answers the exit code; one that does not end is a failure."""
        if not self.alive():
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(
                f"{self.name} did not end within {self.stop_seconds} s of SIGTERM\n{self._tail()}"
            ) from None

    def cpu_seconds(self):
        """User and system time so far, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def _status_kib(self, field):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M).group(1))

    def rss_peak_mib(self):
        return self._status_kib("VmHWM") / 1024
