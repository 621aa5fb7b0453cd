"""The Linux kernel's own NFS server: trees by each version, a power cut in the middle, exports that
squash, refuse or have a second file system in them, as source and as destination."""

import os
import re
import time
from pathlib import Path

import pytest
from world import kernel, tree
from world.control import Control
from world.expected import Snapshot, keys, open_uploads, versions
from world.site import Site, shown

MIB = 1024 * 1024
SMALL_FILES = 5_000
COMMON = "insecure,no_subtree_check"
EXPORTS = {
    "/exports/open": f"rw,no_root_squash,{COMMON}",
    "/exports/read-only": f"ro,no_root_squash,{COMMON}",
    "/exports/squashed": f"rw,root_squash,{COMMON}",
    "/exports/all-squashed": f"rw,all_squash,anonuid=65534,anongid=65534,{COMMON}",
    "/exports/closed": f"rw,root_squash,{COMMON}",
    "/exports/crossed": f"rw,no_root_squash,crossmnt,{COMMON}",
    "/exports/uncrossed": f"rw,no_root_squash,{COMMON}",
}
MOUNT = """
mkdir -p /exports/crossed/inner /exports/uncrossed/inner
mount /dev/ubdb /exports/crossed/inner
mount /dev/ubdb /exports/uncrossed/inner
"""


class Trees:
    """Directories of this machine that the guest has copies of."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.since_ns = time.time_ns()
        for name in ("odd", "many", "cut", "rights"):
            (self.directory / name).mkdir(parents=True)
        tree.odd_names(self.path("odd"))
        tree.neighbours(self.path("odd"))
        self.special = tree.kinds(self.path("odd") + b"/kinds")
        tree.many(self.path("many"), SMALL_FILES)
        tree.big(self.path("many") + b"/large", 64 * MIB + 12345)
        tree.big(self.path("cut") + b"/large", 60 * MIB)
        for number in range(100):
            tree.write(self.path("cut") + b"/%03d" % number, tree.noise(number, 64 * 1024))
        rights = self.path("rights")
        tree.write(rights + b"/before", b"anybody")
        tree.write(rights + b"/secret", b"root alone", 0o600)
        closed = tree.directory(rights + b"/private")
        tree.write(closed + b"/inside", b"in a closed directory")
        os.chmod(closed, 0o700)
        tree.write(rights + b"/zz after", b"anybody")
        os.chown(rights + b"/zz after", 1234, 567)

    def path(self, name):
        return os.fsencode(self.directory / name)

    def snapshot(self, name, without=()):
        """As the guest has it, whose copies were read from then on."""
        return Snapshot(self.path(name), without=without, since_ns=self.since_ns)

    def prepare(self):
        """The guest's commands."""
        targets = {name: [f"/exports/open/{name}"] for name in ("odd", "many", "cut")}
        alike = ("read-only", "squashed", "all-squashed", "closed")
        targets["rights"] = [f"/exports/{name}" for name in alike]
        commands = []
        for name, copies in targets.items():
            archive = self.directory / f"{name}.tar"
            kernel.pack(self.path(name), archive)
            commands += [kernel.unpack(archive, target) for target in copies]
        commands.append("chmod 700 /exports/closed")
        commands.append("echo beyond > /exports/crossed/inner/file; rmdir /exports/crossed/inner/lost+found")
        commands += [f"echo this side > /exports/{name}/file" for name in ("crossed", "uncrossed")]
        commands.append("mkdir -p /exports/open/cut/.snapshot/hourly /exports/open/cut/.zfs")
        commands.append("echo old > /exports/open/cut/.snapshot/hourly/large")
        commands.append("echo old > /exports/open/cut/.zfs/large")
        return "\n".join(commands)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    kernel.skip_if_missing()
    return Trees(tmp_path_factory.mktemp("trees"))


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    """With an agent that runs several executions at once."""
    control = Control(directory, module_logs, executions_per_agent=3)
    made = Site(directory, module_logs, nfs, store, [control], executions_max=3)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def server(directory, module_logs, trees):
    made = kernel.Kernel(directory / "kernel", module_logs, EXPORTS, trees.prepare(), MOUNT)
    try:
        yield made.start()
    finally:
        made.remove()


def task(site, server, path, version, bucket, options=None, status="AVAILABLE"):
    nas = site.nfs_location(path, host=server.host, version=version)
    # DataSync offers version 4.2 in ENHANCED mode alone.
    mode = {"TaskMode": "ENHANCED"} if version == "NFS4_2" else {}
    arn = site.create_task(nas, site.store_location(bucket), options, **mode)
    return arn, site.wait_task(arn, status)


def listed_failures(ended):
    """The list that the detail names."""
    detail = ended["Result"]["ErrorDetail"]
    return Path(re.search(r"on the agent: (\S+jsonl)", detail).group(1)).read_text()


@pytest.mark.parametrize("name,version", [
    ("odd", "NFS3"), ("odd", "NFS4_0"), ("odd", "NFS4_1"), ("odd", "NFS4_2"), ("many", "NFS4_1"),
])
def test_a_tree_arrives_exactly(site, server, trees, name, version):
    bucket = site.bucket("exactly")
    options = {"VerifyMode": "ONLY_FILES_TRANSFERRED"}
    arn, _ = task(site, server, f"/exports/open/{name}", version, bucket, options)
    first = site.run(arn, 240)
    snapshot = trees.snapshot(name)
    snapshot.assert_at(site.store.client, bucket)
    if version != "NFS4_2":  # in ENHANCED mode directories have a count of their own
        assert first["FilesTransferred"] == len(snapshot.entries), shown(first)
    assert first["FilesSkipped"] == len(snapshot.special), shown(first)
    before = versions(site.store.client, bucket)
    second = site.run(arn, 240)
    assert (second["FilesTransferred"], second["BytesTransferred"]) == (0, 0), shown(second)
    assert versions(site.store.client, bucket) == before


def test_a_power_cut_in_the_middle_holds_transfers_up_and_loses_nothing(site, server, trees):
    """By three versions at once. READs of version 4 wait for the end of the grace period, too."""
    buckets = {version: site.bucket("cut") for version in ("NFS3", "NFS4_1", "NFS4_2")}
    options, path = {"BytesPerSecond": 8 * MIB}, "/exports/open/cut"
    tasks = [task(site, server, path, *to, options)[0] for to in buckets.items()]
    executions = [site.launch(arn) for arn in tasks]
    for execution in executions:
        site.wait_execution(execution, until=lambda described: described["BytesTransferred"] > 4 * MIB)
    under_way = [site.describe(execution)["Status"] for execution in executions]
    assert under_way == ["TRANSFERRING"] * 3
    server.stop()
    time.sleep(1)
    server.start()
    for (version, bucket), execution in zip(buckets.items(), executions, strict=True):
        ended = site.wait_execution(execution, 240)
        assert ended["Status"] == "SUCCESS", (version, shown(ended))
        # Without .snapshot and .zfs, which the guest alone has.
        trees.snapshot("cut").assert_at(site.store.client, bucket)
        assert open_uploads(site.store.client, bucket) == []


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_a_read_only_export_is_read(site, server, trees, version):
    bucket = site.bucket("read-only")
    arn, _ = task(site, server, "/exports/read-only", version, bucket)
    site.run(arn)
    trees.snapshot("rights").assert_at(site.store.client, bucket)


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
@pytest.mark.parametrize("export", ["squashed", "all-squashed"])
def test_what_a_squashed_root_may_not_read_is_named(site, server, trees, export, version):
    bucket = site.bucket(export)
    arn, _ = task(site, server, f"/exports/{export}", version, bucket)
    ended = site.run(arn, status="ERROR")
    failures = listed_failures(ended)
    assert "/secret" in failures and "/private" in failures, failures
    assert "root squash" in failures and "no_root_squash" in failures, failures
    # The directory itself is told of, what is in it is not.
    rights = trees.path("rights")
    hidden = [rights + b"/secret", rights + b"/private/inside"]
    trees.snapshot("rights", hidden).assert_at(site.store.client, bucket)


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1", "AUTOMATIC"])
def test_an_export_whose_root_is_closed_says_what_to_do(site, server, version):
    _, described = task(
        site, server, "/exports/closed", version, site.bucket("closed"), status="UNAVAILABLE"
    )
    assert described["ErrorCode"] == "SourcePermissionDenied", shown(described)
    assert "no_root_squash" in described["ErrorDetail"], shown(described)


@pytest.mark.parametrize("version", ["NFS3", "NFS4_0", "NFS4_1"])
def test_a_second_file_system_is_entered_where_the_server_shows_it(site, server, version):
    crossed, uncrossed = site.bucket("crossed"), site.bucket("uncrossed")
    for path, bucket in (("crossed", crossed), ("uncrossed", uncrossed)):
        arn, _ = task(site, server, f"/exports/{path}", version, bucket)
        site.run(arn)
    assert keys(site.store.client, crossed) == ["file", "inner/", "inner/file"]
    # Without crossmnt the server shows the empty directory that lies below the mount.
    assert keys(site.store.client, uncrossed) == ["file", "inner/"]


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_a_directory_that_is_replaced_between_runs_is_found_again(site, server, version):
    name = f"replaced-{version}"
    path = f"/exports/open/{name}"
    server.run(f"mkdir -p {path}/dir && echo one > {path}/dir/file && touch {path}/same")
    bucket = site.bucket("replaced")
    arn, _ = task(site, server, path, version, bucket)
    site.run(arn)
    server.run(f"mv {path} {path}.old && mkdir -p {path}/dir && echo second > {path}/dir/file")
    site.run(arn)
    body = site.store.client.get_object(Bucket=bucket, Key="dir/file")["Body"].read()
    assert body == b"second\n"


def task_to(site, server, source, path, version, status="AVAILABLE"):
    nas = site.nfs_location(path, host=server.host, version=version)
    arn = site.create_task(site.nfs_location(source), nas)
    return arn, site.wait_task(arn, status)


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_a_second_file_system_below_a_destination_fails_by_name(site, server, version):
    source = site.source("across")
    for name in (b"inner/deep/file", b"inner/new", b"outside/file"):
        tree.directory(source + b"/" + os.path.dirname(name))
        tree.write(source + b"/" + name, name)
    arn, _ = task_to(site, server, source, "/exports/crossed", version)
    ended = site.run(arn, status="ERROR")
    failures = listed_failures(ended)
    assert "/inner/new" in failures and "/inner/deep/file" in failures, failures
    assert "another file system is mounted there" in failures, failures
    assert "/outside" not in failures, failures
    server.run(
        "cd /exports/crossed && test \"$(cat outside/file)\" = outside/file"
        " && test ! -e inner/new && test -f inner/file && test ! -e .aws-datasync"
        " && rm -r outside inner/deep"
    )


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
@pytest.mark.parametrize("export,words", [
    ("read-only", ["read-only", "rw in"]),
    ("squashed", ["no_root_squash"]),
    ("all-squashed", ["no_root_squash"]),
])
def test_a_destination_that_cannot_be_written_says_what_to_do(site, server, export, words, version):
    source = site.source("refused")
    _, described = task_to(site, server, source, f"/exports/{export}", version, "UNAVAILABLE")
    assert described["ErrorCode"] == "DestinationPermissionDenied", shown(described)
    for word in words:
        assert word in described["ErrorDetail"], shown(described)
