"""Access control lists and extended attributes, from and to the Linux kernel's own NFS server: kept in
objects, restored, and told of where they do not fit."""

import json
import re
import shlex
from pathlib import Path

import pytest
from world import extended, kernel
from world.control import Control
from world.site import Site, shown

COMMON = "rw,no_root_squash,insecure,no_subtree_check"
FOLDERS = ("tree", "changed", "big", "from-s3", "from-nfs", "refused")
TAGS = [{"Key": f"datasync:{kind}", "Value": "PRESERVE"} for kind in ("acls", "xattrs")]
TOOL = f"python3 {shlex.quote(extended.__file__)}"


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs, store):
    control = Control(directory, module_logs)
    made = Site(directory, module_logs, nfs, store, [control])
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def server(directory, module_logs):
    kernel.skip_if_missing()
    exports = {f"/exports/{name}": COMMON for name in FOLDERS}
    prepare = "\n".join([f"mkdir -p /exports/{name}" for name in FOLDERS])
    prepare += "\n" + "\n".join(f"{TOOL} make /exports/{name}" for name in ("tree", "changed"))
    made = kernel.Kernel(directory / "kernel", module_logs, exports, prepare)
    try:
        yield made.start()
    finally:
        made.remove()


def location(site, server, name, version=None):
    return site.nfs_location(f"/exports/{name}", host=server.host, version=version)


def task(site, source, destination, **more):
    arn = site.create_task(source, destination, Tags=TAGS, **more)
    site.wait_task(arn, "AVAILABLE")
    return arn


def tree_of(server, name):
    """What a folder of the guest has."""
    out = server.directory / f"{name}.json"
    server.run(f"{TOOL} show /exports/{name} > {shlex.quote(str(out))}")
    return json.loads(out.read_text())


def below_root(shown):
    """Without a prefix no object stands for the root."""
    return {path: found for path, found in shown.items() if path != "."}


def metadata(site, bucket, key):
    return site.store.client.head_object(Bucket=bucket, Key=key)["Metadata"]


def listed_failures(ended):
    detail = ended["Result"]["ErrorDetail"]
    return Path(re.search(r"on the agent: (\S+jsonl)", detail).group(1)).read_text()


def test_a_tree_goes_to_objects_and_comes_back_as_it_was(site, server):
    before = below_root(tree_of(server, "tree"))
    bucket = site.bucket("extended")
    there = task(site, location(site, server, "tree"), site.store_location(bucket))
    first = site.run(there)
    assert first["FilesTransferred"] == len(before), shown(first)
    of_shared = metadata(site, bucket, "shared")
    assert "A::1000:" in of_shared["file-acl"] and "file-xattrs" not in of_shared, of_shared
    of_coloured = metadata(site, bucket, "coloured")["file-xattrs"]
    assert "colour=Ymx1ZQ==" in of_coloured and "odd%20%FF%2C%3D%3A%25=" in of_coloured, of_coloured
    assert "A:fdi:1000:" in metadata(site, bucket, "team/")["file-acl"]
    assert "file-acl" not in metadata(site, bucket, "team/link")
    again = site.run(there)
    assert again["FilesTransferred"] == 0, shown(again)
    back = task(site, site.store_location(bucket), location(site, server, "from-s3"))
    site.run(back)
    assert below_root(tree_of(server, "from-s3")) == before
    again = site.run(back)
    assert again["FilesTransferred"] == 0, shown(again)


def test_a_tree_goes_to_another_export_as_it_is(site, server):
    before = tree_of(server, "tree")
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    arn = task(site, location(site, server, "tree"), location(site, server, "from-nfs"), options=options)
    site.run(arn)
    assert tree_of(server, "from-nfs") == before
    # What was changed at the destination is put right; what it has besides goes.
    to = "/exports/from-nfs"
    change = "import os; os.setxattr('%s/coloured', 'user.more', b'x'); os.removexattr('%s/shared', '%s')"
    server.run(f"python3 -c {shlex.quote(change % (to, to, extended.ACCESS))}; chmod 640 {to}/shared")
    site.run(arn)
    assert tree_of(server, "from-nfs") == before


def test_a_list_or_an_attribute_that_changes_alone_is_seen(site, server):
    bucket = site.bucket("changed")
    arn = task(site, location(site, server, "changed"), site.store_location(bucket))
    site.run(arn)
    old = {key: metadata(site, bucket, key) for key in ("plain", "shared", "large", "team/")}
    root = "/exports/changed"
    change = f"""
import os, sys
sys.path.insert(0, {str(Path(extended.__file__).parent)!r})
from extended import ACCESS, shared
os.setxattr("{root}/plain", "user.colour", b"red")
os.setxattr("{root}/shared", ACCESS, shared(1000, 4))
os.setxattr("{root}/large", "user.kind", b"larger")
os.removexattr("{root}/team", "user.team")
"""
    server.run(f"python3 -c {shlex.quote(change)}")
    ended = site.run(arn)
    assert (ended["FilesTransferred"], ended["BytesTransferred"]) == (4, 0), shown(ended)
    new = {key: metadata(site, bucket, key) for key in old}
    assert new["plain"]["file-xattrs"] == "colour=cmVk"
    assert new["plain"]["file-acl"] == old["plain"]["file-acl"]
    assert new["shared"]["file-acl"] != old["shared"]["file-acl"]
    assert new["large"]["file-xattrs"] == "kind=bGFyZ2Vy"
    assert "file-xattrs" in old["team/"] and "file-xattrs" not in new["team/"]


def test_what_does_not_fit_is_told_and_the_content_is_there(site, server):
    root = "/exports/big"
    make = f"import os; os.setxattr('{root}/file', 'user.big', b'x' * {extended.BIG})"
    server.run(f"echo content > {root}/file; echo other > {root}/other; python3 -c {shlex.quote(make)}")
    bucket = site.bucket("too-large")
    arn = task(site, location(site, server, "big"), site.store_location(bucket))
    for _ in range(2):
        ended = site.run(arn, status="ERROR")
        failures = listed_failures(ended)
        assert "/file" in failures and "MetadataTooLarge" in failures, failures
        assert "/other" not in failures, failures
        body = site.store.client.get_object(Bucket=bucket, Key="file")
        assert body["Body"].read() == b"content\n"
        assert "file-acl" in body["Metadata"] and "file-xattrs" not in body["Metadata"]
    assert ended["BytesTransferred"] == 0, shown(ended)
    server.run(f"python3 -c \"import os; os.setxattr('{root}/file', 'user.big', b'x')\"")
    site.run(arn)
    assert metadata(site, bucket, "file")["file-xattrs"] == "big=eA=="


@pytest.mark.parametrize("version", ["NFS3", "NFS4_1"])
def test_a_version_that_cannot_tell_ends_the_execution_at_its_beginning(site, server, version):
    bucket = site.bucket("refused")
    arn = task(site, location(site, server, "refused", version), site.store_location(bucket))
    ended = site.run(arn, status="ERROR")
    assert ended["Result"]["ErrorCode"] == "NotSupported", ended["Result"]
    assert "datasync:" in ended["Result"]["ErrorDetail"], ended["Result"]
