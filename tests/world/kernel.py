"""The Linux kernel's own NFS server, in user-mode-linux: a kernel that is a program (guest.sh)."""

import ast
import contextlib
import itertools
import os
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from . import copied
from .process import Daemon, Failed, accepts, run, wait_until

WORLD = Path(__file__).resolve().parent
MODULES = "/usr/lib/uml/modules"
PROGRAMS = ("linux.uml", "rpc.nfsd", "modprobe", "mkfs.ext4")
DEVICE = "nfsd0"
ADDRESS = "10.98.0.2"
GATEWAY = "10.98.0.1"
PREFIX = 24
PORT = 2049
MOUNT_PORT = 20048
IMAGE_SIZE, SECOND_SIZE = "2G", "64M"
MEMORY = "512M"
BOOT_SECONDS = 90


def skip_if_missing():
    """Where tests/run could not install it."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing or not os.path.isdir(MODULES):
        pytest.skip(f"user-mode-linux or nfs-kernel-server is not installed: {missing or MODULES}")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no /dev/net/tun, by which the guest kernel would be reached")


def _called(*arguments):
    ended = run(arguments)
    if ended.returncode:
        raise Failed(f"{arguments}: {ended.stdout}{ended.stderr}")


class Kernel:
    """A machine of one processor at ADDRESS. `exports` has a path of the guest and its options for
    each export; `prepare` and `mount` are shell commands, as guest.sh says."""

    host = ADDRESS

    def __init__(self, directory, logs, exports, prepare, mount="true"):
        self.directory = Path(directory)
        self._numbers = itertools.count(1)
        (self.directory / "modules/lib").mkdir(parents=True)
        (self.directory / "modules/lib/modules").symlink_to(MODULES)
        for made in ("do", "memory"):
            (self.directory / made).mkdir()
        (self.directory / "address").write_text(f"{ADDRESS}/{PREFIX}\n")
        lines = [f"{path} {options}\n" for path, options in exports.items()]
        (self.directory / "exports").write_text("".join(lines))
        for name, commands in (("prepare", prepare), ("mount", mount)):
            script = self.directory / name
            script.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{commands}\n")
            script.chmod(0o755)
        for name, size in (("image", IMAGE_SIZE), ("second", SECOND_SIZE)):
            _called("truncate", "-s", size, self.directory / name)
            _called("mkfs.ext4", "-q", "-F", self.directory / name)
        # The guest's memory is a file there.
        _called("mount", "-t", "tmpfs", "tmpfs", self.directory / "memory")
        _called("ip", "tuntap", "add", "dev", DEVICE, "mode", "tap")
        _called("ip", "addr", "add", f"{GATEWAY}/{PREFIX}", "dev", DEVICE)
        _called("ip", "link", "set", DEVICE, "up")
        arguments = ["linux.uml", f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs"]
        arguments += ["rootflags=/", "rw", "quiet", "con=null", "con0=null,fd:1"]
        arguments += [f"ubd{n}={self.directory / name}" for n, name in enumerate(("image", "second"))]
        arguments += [f"eth0=tuntap,{DEVICE}", f"directory={self.directory}"]
        arguments += [f"init={WORLD / 'guest.sh'}"]
        environment = os.environ | {"TMPDIR": str(self.directory / "memory")}
        # Its processes are one group.
        alone = {"start_new_session": True}
        self.server = Daemon("kernel", arguments, Path(logs) / "kernel.log", environment, identity=alone)

    def start(self):
        ready = self.directory / "ready"
        ready.unlink(missing_ok=True)
        self.server.start()
        self.server.wait_for("the NFS server answers", ready.exists, BOOT_SECONDS)
        wait_until("it is reached", lambda: accepts(PORT, ADDRESS) and accepts(MOUNT_PORT, ADDRESS), 20)
        return self

    def stop(self):
        """As a power cut does it."""
        if self.server.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.server.pid, signal.SIGKILL)
        self.server.kill()

    def remove(self):
        self.stop()
        run(["umount", "--lazy", self.directory / "memory"])
        run(["ip", "link", "delete", DEVICE])

    def run(self, commands, timeout=60):
        """Runs shell commands in the guest."""
        script = self.directory / "do" / f"{next(self._numbers)}.sh"
        new = script.with_suffix(".new")
        new.write_text(f"set -euo pipefail\n{commands}\n")
        new.rename(script)
        ended = script.with_suffix(".status")
        self.server.wait_for(f"the guest ran {commands!r}", ended.exists, timeout)
        code = ended.read_text().strip()
        assert code == "0", f"{commands!r} in the guest: {code}\n{self.server.output()[-2000:]}"

    def tree(self, path):
        """What `copied.exactly` finds in a directory of the guest."""
        out = self.directory / "tree"
        self.run(f"python3 {shlex.quote(copied.__file__)} {shlex.quote(path)} > {shlex.quote(str(out))}")
        return ast.literal_eval(out.read_text())


def pack(source, archive):
    """Makes an archive of a directory of this machine: the guest sees files here with times of whole
    seconds only."""
    _called("tar", "--create", "--file", archive, "--format=posix", "--sparse", "-C", os.fsdecode(source), ".")


def unpack(archive, target):
    """The commands that make `target`, a directory of the guest, what was packed."""
    archive, target = shlex.quote(str(archive)), shlex.quote(target)
    return f"mkdir -p {target} && tar --extract --file {archive} -p --numeric-owner -C {target}"
