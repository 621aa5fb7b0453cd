"""Somebody who makes releases of the agent: programs that are signed bundles."""

from pathlib import Path

from .process import binary, run

ROOT = Path(__file__).resolve().parents[2]


class Releases:
    """A release here is a script: it becomes the agent that is there, or fails as a test wants it to. What
    it is called is in its manifest, which is what decides."""

    def __init__(self, directory):
        self.directory = directory
        self.key = directory / "key.pem"
        answer = run([ROOT / "packaging/bundle", "--new-key", self.key])
        assert answer.returncode == 0, answer
        self.public = directory / "key.pub.pem"

    def make(self, version, script):
        program = self.directory / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        command = [ROOT / "packaging/bundle", "--key", self.key, "--version", version]
        answer = run([*command, program, self.directory])
        assert answer.returncode == 0, answer
        return Path(answer.stdout.strip())

    def good(self, version, program=None):
        """One that is `program`; without one, the agent of this run."""
        return self.make(version, f'exec {program or binary("datasync-agent")} "$@"')
