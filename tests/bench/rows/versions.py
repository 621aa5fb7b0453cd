"""NFS version 4.1 against version 3, by two nfs-ganeshas over the same trees."""

from bench.contestants.ours import Ours
from bench.measures import Outcome, at_least
from bench.result import first_copies, middle
from bench.table import table
from world.nfs4 import Nfs4

SHARE_MIN = 0.8


def versions(setting):
    """4 × 1 GiB and 50,000 × 4 KiB, by turns."""
    large, small = setting.large(), setting.small()
    server = Nfs4(setting.scratch / "nfs4", setting.logs, setting.nfs).start()
    try:
        with setting.site() as site:
            programs = [_By(site, setting.nfs.host, "NFS3"), _By(site, server.host, "NFS4_1")]
            results = {
                tree: first_copies(setting, f"versions, {tree}", [(by, tree) for by in programs])
                for tree in (large, small)
            }
    finally:
        server.stop()
    rates = {name: middle(runs, "gib_per_second") for name, runs in results[large].items()}
    files = {name: middle(runs, "files_per_second") for name, runs in results[small].items()}
    rows = [
        [
            name,
            f"{rates[name]:.3f}",
            f"{middle(results[large][name], 'cpu_seconds_per_gib'):.2f}",
            f"{files[name]:,.0f}",
            f"{middle(results[small][name], 'cpu_us_per_file'):,.0f}",
        ]
        for name in rates
    ]
    head = ["by", f"{large}: GiB/s", "CPU s/GiB", f"{small}: files/s", "CPU µs/file"]
    return Outcome(
        [
            at_least(f"{large}: NFS 4.1 / NFS 3", rates["NFS4_1"] / rates["NFS3"], SHARE_MIN),
            at_least(f"{small}: NFS 4.1 / NFS 3", files["NFS4_1"] / files["NFS3"], SHARE_MIN),
        ],
        [table(head, rows)],
    )


class _By(Ours):
    """The agent by one version, under its name."""

    def __init__(self, site, host, version):
        super().__init__(site, host=host, version=version)
        self.name = version
