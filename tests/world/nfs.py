"""nfs-ganesha with rpcbind: one export for root, one that squashes root."""

import os
import shutil
from pathlib import Path

from .process import Daemon, Failed, accepts, run, wait_until

PORT = 2049
MOUNT_PORT = 20048
PORTMAPPER = 111
# glibc gives the memory of large answers back to the kernel and gets it anew, page by page: ganesha's version 4
# then takes twice the time for a READ, of which version 3 has nothing.
ENVIRONMENT = os.environ | {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(16 << 20),
}

CONFIGURATION = """
NFS_CORE_PARAM {{
    NFS_Port = {port};
    MNT_Port = {mount_port};
    Enable_RQUOTA = false;
    Enable_NLM = false;
    Enable_UDP = false;
    Protocols = 3;
    Plugins_Dir = {plugins};
}}
NFS_KRB5 {{ Active_krb5 = false; }}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {directory}/recovery; }}
EXPORT_DEFAULTS {{ Attr_Expiration_Time = 0; Access_Type = RW; SecType = sys; Protocols = 3; Transports = TCP; }}
EXPORT {{ Export_Id = 1; Path = {open}; Pseudo = /open; Squash = No_Root_Squash;
    FSAL {{ Name = VFS; }} }}
EXPORT {{ Export_Id = 2; Path = {squashed}; Pseudo = /squashed; Squash = Root_Squash;
    Anonymous_uid = 65534; Anonymous_gid = 65534; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
"""


def on_overlay(directory):
    """Whether a directory cannot be exported: file handles need a real file system."""
    return run(["stat", "-f", "-c", "%T", directory]).stdout.startswith("overlay")


class Nfs:
    """Tests get directories below the exports, so that they do not meet."""

    host = "127.0.0.1"
    port = PORT

    def __init__(self, directory, logs, in_memory=False):
        self.directory = Path(directory)
        self.in_memory = in_memory
        self.directory.mkdir(parents=True)
        if in_memory or on_overlay(self.directory):
            run(["mount", "-t", "tmpfs", "tmpfs", self.directory])
        self.open = self.directory / "open"
        self.squashed = self.directory / "squashed"
        for made in (self.open, self.squashed, self.directory / "recovery"):
            made.mkdir(parents=True)
            made.chmod(0o755)
        plugins = next(Path("/usr/lib").glob("*/ganesha"), None)
        if plugins is None or not shutil.which("ganesha.nfsd"):
            raise Failed("nfs-ganesha is not installed; tests/run installs it")
        configuration = self.directory / "ganesha.conf"
        configuration.write_text(
            CONFIGURATION.format(
                port=PORT,
                mount_port=MOUNT_PORT,
                plugins=plugins,
                directory=self.directory,
                open=self.open,
                squashed=self.squashed,
            )
        )
        self.portmapper = Daemon("rpcbind", ["rpcbind", "-f"], Path(logs) / "rpcbind.log")
        arguments = ["ganesha.nfsd", "-F", "-f", configuration, "-L", Path(logs) / "ganesha.log"]
        arguments += ["-p", self.directory / "ganesha.pid"]
        self.server = Daemon("ganesha", arguments, Path(logs) / "ganesha.out", ENVIRONMENT)

    def start(self):
        self.portmapper.start()
        self.portmapper.wait_for_port(PORTMAPPER)
        self.start_server()

    def start_server(self):
        self.server.start()
        self.server.wait_for_port(PORT, 60)
        wait_until("mountd listens", lambda: accepts(MOUNT_PORT), 20)

    def stop(self):
        # It holds nothing that a test still needs, and its own shutdown is slow.
        self.server.kill()
        self.portmapper.kill()
        if self.in_memory:
            run(["umount", "--lazy", self.directory])
