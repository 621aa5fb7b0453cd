"""The road to Ceph's radosgw, an older store: it computes no checksums, ignores conditions and
refuses trailers. tests/world/radosgw.sh starts it."""

import json
import os
import time

import pytest
from test_road import wait_cli
from test_tree import copy_twice
from world import tree
from world.expected import Snapshot, keys, versions
from world.secrets import remember
from world.site import ROLE, TERMINAL, Site, shown
from world.store import client

pytestmark = pytest.mark.radosgw
MIB = 1024 * 1024


class Radosgw:
    """Stands where our own store stands."""

    def __init__(self):
        self.endpoint = os.environ["DATASYNC_TEST_S3_ENDPOINT"]
        self.host, port = self.endpoint.removeprefix("http://").split(":")
        self.port = int(port)
        self.access_key = os.environ["DATASYNC_TEST_S3_ACCESS_KEY"]
        self.secret_key = remember("radosgw", os.environ["DATASYNC_TEST_S3_SECRET_KEY"])
        self.client = client(self.endpoint, self.access_key, self.secret_key)

    def bucket(self, name):
        self.client.create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="module")
def site(directory, module_logs, nfs):
    made = Site(directory, module_logs, nfs, Radosgw())
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_odd_names_and_kinds(site):
    source = site.source("radosgw-odd")
    tree.odd_names(source)
    tree.neighbours(source)
    special = tree.kinds(source + b"/kinds")
    copy_twice(site, source, special=special)


def test_sizes_around_parts_and_a_multipart_object(site):
    source = site.source("radosgw-sizes")
    tree.sizes(source)
    tree.big(source + b"/big", 70 * MIB + 1)
    copy_twice(site, source)


def test_changes_and_deletes(site):
    since_ns = time.time_ns()
    source = site.source("radosgw-changes")
    for name in (b"a", b"a-b", b"z"):
        tree.write(source + b"/" + name, b"content of " + name)
    bucket = site.bucket("radosgw-changes")
    task = site.task(source, bucket, "p/", {"PreserveDeletedFiles": "REMOVE"})
    site.run(task)
    tree.write(source + b"/a", b"another content")
    os.chmod(source + b"/a-b", 0o600)
    os.remove(source + b"/z")
    ended = site.run(task)
    assert ended["FilesDeleted"] == 1, shown(ended)
    Snapshot(source, "p/", since_ns=since_ns).assert_at(site.store.client, bucket)
    assert "p/z" not in keys(site.store.client, bucket)


def test_an_s3_location_with_a_sealed_key_by_the_aws_cli(site):
    control, store = site.control, site.store
    set_key = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    control.cli(*set_key, "--endpoint", store.endpoint, text_in=store.secret_key + "\n")
    source = site.source("radosgw-s3")
    tree.neighbours(source)
    tree.big(source + b"/in parts", 9 * MIB)
    bucket = site.bucket("radosgw-s3")
    snapshot = Snapshot(source, "p/")

    aws = control.aws
    from_nfs = ["--server-hostname", site.nfs.host, "--subdirectory", os.fsdecode(source)]
    from_nfs += ["--on-prem-config", f"AgentArns={site.agent.arn}"]
    to_s3 = ["--s3-bucket-arn", f"arn:aws:s3:::{bucket}", "--subdirectory", "/p"]
    to_s3 += ["--s3-config", f"BucketAccessRoleArn={ROLE}"]
    ends = ["--source-location-arn", aws("create-location-nfs", *from_nfs)["LocationArn"]]
    ends += ["--destination-location-arn", aws("create-location-s3", *to_s3)["LocationArn"]]
    task = ["--task-arn", aws("create-task", *ends)["TaskArn"]]
    wait_cli(site, "CREATING ends", ["describe-task", *task], lambda now: now != "CREATING")
    described = aws("describe-task", *task)
    assert described["Status"] == "AVAILABLE", described

    def run():
        execution = aws("start-task-execution", *task)["TaskExecutionArn"]
        describe = ["describe-task-execution", "--task-execution-arn", execution]
        ended = wait_cli(site, "the execution ends", describe, TERMINAL.__contains__)
        assert ended["Status"] == "SUCCESS", ended
        return ended["FilesTransferred"], ended["BytesWritten"]

    size = sum(entry.size for entry in snapshot.entries.values())
    assert run() == (len(snapshot.entries), size)
    snapshot.assert_at(store.client, bucket)
    before = versions(store.client, bucket)
    assert run() == (0, 0)
    assert versions(store.client, bucket) == before


def test_versions_of_a_manifest_and_of_reported_objects(site):
    control, store = site.control, site.store
    set_key = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    control.cli(*set_key, "--endpoint", store.endpoint, text_in=store.secret_key + "\n")
    source = site.source("radosgw-versions")
    for name in (b"first", b"second"):
        tree.write(source + b"/" + name, name)
    bucket, side = site.bucket("radosgw-versions"), site.bucket("radosgw-side")
    for versioned in (bucket, side):
        store.client.put_bucket_versioning(
            Bucket=versioned, VersioningConfiguration={"Status": "Enabled"}
        )
    place = {"S3BucketArn": f"arn:aws:s3:::{side}", "BucketAccessRoleArn": ROLE}
    first, _ = (
        store.client.put_object(Bucket=side, Key="list.csv", Body=text)["VersionId"]
        for text in (b"first\n", b"second\n")
    )

    def listed(version):
        manifest = {"ManifestObjectPath": "list.csv", "ManifestObjectVersionId": version}
        return {"Source": {"S3": place | manifest}}

    report = {"Destination": {"S3": place}, "ReportLevel": "SUCCESSES_AND_ERRORS"}
    task = site.task(source, bucket, ManifestConfig=listed(first), TaskReportConfig=report)
    done = site.run(task)
    assert done["ReportResult"] == {"Status": "SUCCESS"}, shown(done)
    assert keys(store.client, bucket) == ["first"]
    written = [key for key in keys(store.client, side) if "files-transferred" in key]
    told = json.loads(store.client.get_object(Bucket=side, Key=written[0])["Body"].read())
    head = store.client.head_object(Bucket=bucket, Key="first")
    assert told["Transferred"][0]["DstS3VersionId"] == head["VersionId"]
    result = site.run(task, status="ERROR", ManifestConfig=listed("no-such-version"))["Result"]
    assert result["ErrorCode"].startswith("ManifestFile"), result


def test_a_wrong_key_is_named(site):
    location = site.store_location(site.bucket("radosgw-denied"), SecretKey="wrong")
    task = site.create_task(site.nfs_location(site.source("radosgw-denied")), location)
    described = site.wait_task(task, "UNAVAILABLE")
    assert described["ErrorCode"] == "DestinationPermissionDenied", shown(described)
