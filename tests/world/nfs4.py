"""nfs-ganesha for NFS version 4 alone, over the directories of another NFS server."""

from pathlib import Path

from .nfs import ENVIRONMENT
from .process import Daemon, run

PORT = 4049
NUMBERS = "Only_Numeric_Owners = true"
# By the accounts of this machine.
NAMES = 'Only_Numeric_Owners = false; UseGetpwnam = true; DomainName = "example.com"'
# Sessions and clients that are gone are forgotten after it.
LEASE_SECONDS = 10

CONFIGURATION = """
NFS_CORE_PARAM {{
    NFS_Port = {port};
    Enable_RQUOTA = false;
    Enable_NLM = false;
    Enable_UDP = false;
    Protocols = 4;
    Plugins_Dir = {plugins};
}}
NFS_KRB5 {{ Active_krb5 = false; }}
NFSv4 {{
    Minor_Versions = {minor_versions}; {owners}; Delegations = false;
    Lease_Lifetime = {lease}; Grace_Period = {lease}; Graceless = {graceless};
    RecoveryBackend = fs; RecoveryRoot = {directory}/recovery;
}}
EXPORT_DEFAULTS {{ Attr_Expiration_Time = 0; Access_Type = RW; SecType = sys; Protocols = 4; Transports = TCP; }}
EXPORT {{ Export_Id = 1; Path = {open}; Pseudo = {open}; Squash = No_Root_Squash;
    FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
"""


class Nfs4:
    """Its paths are those of the directories. Nothing else of it is registered or listens."""

    host = f"127.0.0.1:{PORT}"

    def __init__(
        self, directory, logs, nfs, minor_versions="0, 1, 2", graceless=True, owners=NUMBERS
    ):
        self.directory = Path(directory)
        (self.directory / "recovery").mkdir(parents=True)
        configuration = self.directory / "ganesha.conf"
        configuration.write_text(
            CONFIGURATION.format(
                port=PORT,
                minor_versions=minor_versions,
                lease=LEASE_SECONDS,
                graceless=str(graceless).lower(),
                owners=owners,
                plugins=next(Path("/usr/lib").glob("*/ganesha")),
                directory=self.directory,
                open=nfs.open,
            )
        )
        arguments = ["ganesha.nfsd", "-F", "-f", configuration, "-L", Path(logs) / "ganesha-4.log"]
        arguments += ["-p", self.directory / "ganesha.pid"]
        self.server = Daemon("ganesha-4", arguments, Path(logs) / "ganesha-4.out", ENVIRONMENT)

    def start(self):
        self.server.start()
        self.server.wait_for_port(PORT, 60)
        return self

    def stop(self):
        self.server.kill()

    def connections(self):
        """How many clients are connected."""
        found = run(["ss", "-Htn", "state", "established", f"( sport = :{PORT} )"])
        return len(found.stdout.splitlines())
