"""A virtual machine as its operator has it: power, a serial line, ports that are forwarded to it."""

import fcntl
import json
import os
import shutil
import socket
import struct
import termios
import threading
import time

import pyte

from .process import Daemon, Failed, run, wait_until

COLUMNS = 80
# A serial line tells nobody how many it has; a monitor has one more in text mode.
LINE_ROWS, MONITOR_ROWS = 24, 25


def virtualises():
    """Whether the CPU can and the kernel lets us: /dev/kvm alone may be there and of no use."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/cpuinfo") as file:
        flags = file.read()
    return any(f" {flag} " in flags for flag in ("vmx", "svm"))


def overlay(disk, path, size=None):
    """A disk of the machine's own, of the image's size or larger: the image is not written to."""
    kind = disk.suffix.removeprefix(".")
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", disk, path]
    made = run([*command, size] if size else command)
    if made.returncode != 0:
        raise Failed(f"qemu-img: {made.stderr}")
    return path


class Screen:
    """What a terminal shows whose program is at `descriptor`, drawn by pyte."""

    def __init__(self, descriptor, rows):
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._screen = pyte.Screen(COLUMNS, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                received = os.read(self._descriptor, 65536)
            except OSError:
                received = b""
            if not received:
                os.close(self._descriptor)
                return
            with self._lock:
                self._stream.feed(received)

    def text(self):
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def wait(self, *words, gone=None, timeout=300):
        """Until all words are on the screen, and what is to be `gone` is not; answers the screen."""
        deadline = time.monotonic() + timeout
        while True:
            shown = self.text()
            if all(word in shown for word in words) and (gone is None or gone not in shown):
                return shown
            if time.monotonic() > deadline:
                raise Failed(f"not on the screen: {words}\n{shown}")
            time.sleep(0.1)

    def press(self, keys):
        os.write(self._descriptor, keys.encode())

    def close(self):
        """Once its machine is gone."""
        self._thread.join(10)


def serial_line(path):
    """The other end of a machine's serial line; `None` while there is none."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(str(path))
    except OSError:
        line.close()
        return None
    return Screen(line.detach(), LINE_ROWS)


class Machine:
    """One machine with a disk of its own. Network: QEMU's own, where this world's loopback is 10.0.2.2
    for it; `tap` adds an interface of this world in front of it."""

    # What a test may change before it starts one.
    # Whether `screen` is what a monitor shows, in text.
    has_screen = False
    memory_mib = 1024
    cpus = 2
    # A folder of UEFI's code and empty variables, as Debian's package `ovmf` has them; BIOS without one.
    firmware = None
    disk_device = "virtio-blk-pci"
    network_device = "virtio-net-pci"

    def __init__(
        self, name, disk, directory, logs, seeds=(), forwards=None, tap=None, disk_size=None, **settings
    ):
        for setting, value in settings.items():
            assert hasattr(self, setting), setting
            setattr(self, setting, value)
        self.name = name
        self.directory = directory
        self.disk = overlay(disk, directory / f"{name}.qcow2", disk_size)
        # Disks besides its own, which it may write to.
        self.more_disks = []
        self.seeds = list(seeds)
        self.forwards = forwards or {}
        self.tap = tap
        self.started_at = None
        self.line = None
        self.screen = None
        self.server = Daemon(name, [], logs / f"{name}.qemu.log", stop_seconds=60)

    def _arguments(self):
        kvm = virtualises()
        accelerator = ["kvm"] if kvm else ["tcg,thread=multi,tb-size=512"]
        given = ["qemu-system-x86_64", "-M", "q35", "-accel", *accelerator]
        given += ["-cpu", "host" if kvm else "max"]
        given += ["-smp", str(self.cpus), "-m", str(self.memory_mib)]
        if self.firmware:
            code, variables = self.firmware / "OVMF_CODE_4M.fd", self._path("variables")
            # What it remembers stays with the machine.
            if not variables.exists():
                shutil.copyfile(self.firmware / "OVMF_VARS_4M.fd", variables)
            given += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
            given += ["-drive", f"if=pflash,unit=1,format=raw,file={variables}"]
        given += ["-display", "curses" if self.has_screen else "none", "-no-reboot"]
        given += ["-serial", f"unix:{self._path('serial')},server=on,wait=off"]
        given += ["-qmp", f"unix:{self._path('qmp')},server=on,wait=off"]
        given += ["-drive", f"file={self.disk},if=none,id=disk,discard=unmap"]
        if self.disk_device == "pvscsi":
            given += ["-device", "pvscsi", "-device", "scsi-hd,drive=disk"]
        else:
            given += ["-device", f"{self.disk_device},drive=disk"]
        for number, path in enumerate(self.more_disks):
            given += ["-drive", f"file={path},if=none,id=more{number},format=raw"]
            given += ["-device", f"virtio-blk-pci,drive=more{number}"]
        given += ["-device", "virtio-rng-pci"]
        if self.tap:
            given += ["-netdev", f"tap,id=tap,ifname={self.tap[0]},script=no,downscript=no"]
            given += ["-device", f"virtio-net-pci,netdev=tap,romfile=,mac={self.tap[1]}"]
        forwards = "".join(
            f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.forwards.items()
        )
        given += ["-netdev", f"user,id=user{forwards}"]
        given += ["-device", f"{self.network_device},netdev=user,romfile="]
        for seed in self.seeds:
            kind = "media=cdrom,if=ide" if seed.suffix == ".iso" else "format=raw,if=virtio"
            given += ["-drive", f"file={seed},readonly=on,{kind}"]
        return given

    def _path(self, name):
        return self.directory / f"{self.name}.{name}"

    def start(self):
        """Power on."""
        self.server.arguments = [str(argument) for argument in self._arguments()]
        self.started_at = time.monotonic()
        if self.has_screen:
            self._plug_the_screen_in()
        self.server.start()
        self.server.wait_for("its sockets", lambda: self._path("qmp").exists(), 20)
        self.line = wait_until("the serial line", lambda: serial_line(self._path("serial")), 20)
        return self

    def _plug_the_screen_in(self):
        ours, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", MONITOR_ROWS, COLUMNS, 0, 0))
        self.screen = Screen(ours, MONITOR_ROWS)
        self.server.terminal = its
        self.server.env = os.environ | {"TERM": "linux"}

    def _monitor(self, command):
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._path("qmp")))
            with monitor.makefile("rw") as file:
                for execute in ("qmp_capabilities", command):
                    file.write(json.dumps({"execute": execute}) + "\n")
                    file.flush()
                    while "return" not in (answer := json.loads(file.readline())):
                        if "error" in answer:
                            raise Failed(f"{command}: {answer}")

    def shut_down(self, timeout=120):
        """As the hypervisor's button does it: the machine goes off by itself."""
        self._monitor("system_powerdown")
        self.server.wait_for_end(timeout)
        self._unplug()

    def pull_the_plug(self):
        self.server.kill()
        self._unplug()

    def _unplug(self):
        for end in (self.line, self.screen):
            if end:
                end.close()
