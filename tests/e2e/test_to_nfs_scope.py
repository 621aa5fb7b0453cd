"""NFS as a destination: what a manifest lists, what is never touched, and what a report tells."""

import os

from test_manifest import config as manifest_config
from test_reports import Report, role  # noqa: F401
from test_reports import config as report_config
from world import tree
from world.copied import entries
from world.site import shown


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_what_a_manifest_lists_arrives_and_nothing_else(site, store):
    source, destination = site.source("listed"), site.source("listed-to")
    for name in (b"a/one", b"a/two", b"b/three"):
        tree.directory(source + b"/" + os.path.dirname(name))
        tree.write(source + b"/" + name, name)
    os.chmod(source + b"/a", 0o700)
    os.symlink(b"a/one", source + b"/link")
    tree.write(destination + b"/stranger", b"stays")
    lists = site.bucket("lists")
    store.client.put_object(Bucket=lists, Key="list.csv", Body=b"a/one\nlink\nb/absent\n")
    manifest = manifest_config("list.csv", S3BucketArn=f"arn:aws:s3:::{lists}")
    task = site.create_task(
        site.nfs_location(source), site.nfs_location(destination), ManifestConfig=manifest
    )
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task, status="ERROR")
    assert "/b/absent" in ended["Result"]["ErrorDetail"], shown(ended)
    found = entries(destination)
    assert sorted(found) == [b"", b"/a", b"/a/one", b"/link", b"/stranger"]
    assert read(destination + b"/a/one") == b"a/one"
    assert os.readlink(destination + b"/link") == b"a/one"
    # The manifest names no directory: those that lead to an entry are made as the server makes them.
    assert found[b"/a"]["mode"] == oct(0o755)
    store.client.put_object(Bucket=lists, Key="list.csv", Body=b"a/one\nb/three\n")
    again = site.run(task)
    assert again["FilesTransferred"] == 1, shown(again)
    assert read(destination + b"/b/three") == b"b/three"


def test_snapshots_are_left_out_at_both_sides(site):
    source, destination = site.source("snapshots"), site.source("snapshots-to")
    for name in (b"/.snapshot", b"/deep/.snapshot", b"/.zfs"):
        tree.write(tree.directory(source + name) + b"/old", b"old")
    tree.write(source + b"/deep/new", b"new")
    kept = [b"/.snapshot/theirs", b"/deep/.snapshot/theirs", b"/.zfs/theirs"]
    for name in kept:
        tree.directory(destination + os.path.dirname(name))
        tree.write(destination + name, b"theirs")
    tree.write(destination + b"/gone", b"goes")
    task = site.create_task(
        site.nfs_location(source), site.nfs_location(destination),
        {"PreserveDeletedFiles": "REMOVE"},
    )
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task)
    assert ended["FilesDeleted"] == 1, shown(ended)
    files = sorted(path for path, entry in entries(destination).items() if entry["content"])
    assert files == sorted([*kept, b"/deep/new"])
    again = site.run(task)
    assert (again["FilesTransferred"], again["FilesDeleted"]) == (0, 0), shown(again)


def test_a_report_tells_what_came_from_a_bucket(site, store):
    bucket, destination = site.bucket("told"), site.source("told-to")
    store.client.put_object(
        Bucket=bucket, Key="in/file", Body=b"content", Metadata={"file-permissions": "0100600"}
    )
    store.client.put_object(Bucket=bucket, Key="in/a//b", Body=b"no path")
    task = site.create_task(
        site.store_location(bucket, "in/"), site.nfs_location(destination),
        {"VerifyMode": "POINT_IN_TIME_CONSISTENT"},
        TaskReportConfig=report_config("from-a-bucket", ReportLevel="SUCCESSES_AND_ERRORS"),
    )
    site.wait_task(task, "AVAILABLE")
    done = site.run(task, status="ERROR")
    assert done["ReportResult"] == {"Status": "SUCCESS"}, shown(done)
    report = Report(store, "from-a-bucket", done["TaskExecutionArn"])
    assert "/file" in report.paths("transferred", TransferStatus="SUCCESS")
    (failed,) = report.paths("transferred", TransferStatus="FAILED")
    assert report.entry("transferred", failed)["ErrorCode"] == "KeyNotAllowed"
    told = report.entry("transferred", "/file")
    assert told["TransferType"] == "CONTENT_AND_METADATA"
    assert (told["SrcMetadata"]["ContentSize"], told["SrcMetadata"]["Mode"]) == (7, "0600")
    # What was read back.
    assert told["SrcHash"] == told["DstHash"] and len(told["SrcHash"]) == 16
    assert report.entry("verified", "/file")["VerifyStatus"] == "SUCCESS"
    assert report.summary["FilesTransferred"] == done["FilesTransferred"]
