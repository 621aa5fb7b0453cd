"""Buckets as sources: what a bucket holds, copied to another."""

import json
import os
import time
from typing import NamedTuple

import pytest
from botocore.exceptions import ClientError
from test_copy import Pair
from world import tree
from world.expected import keys, open_uploads
from world.process import wait_until
from world.site import ROLE, shown
from world.store import Store

MIB = 1024 * 1024
HEADERS = (
    "ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage",
)
SLOW = 4 * MIB


def state(client, bucket, prefix=""):
    """Everything that belongs to the objects of a bucket, by key below the prefix."""
    found = {}
    for key in keys(client, bucket, prefix):
        got = client.get_object(Bucket=bucket, Key=key)
        tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        found[key.removeprefix(prefix)] = {
            "body": got["Body"].read(),
            "metadata": got["Metadata"],
            "tags": sorted((tag["Key"], tag["Value"]) for tag in tags),
            **{name: got.get(name) for name in HEADERS},
        }
    return found


def assert_same(one, other):
    assert sorted(one) == sorted(other)
    wrong = [key for key in one if one[key] != other[key]]
    assert not wrong, [(key, short(one[key]), short(other[key])) for key in wrong[:5]]


def short(told):
    return {name: repr(value)[:200] for name, value in told.items()}


def put(store, bucket, key, body=b"content", **more):
    store.client.put_object(Bucket=bucket, Key=key, Body=body, **more)


def fill(store, bucket, prefix=""):
    """Objects of other writers, which carry all that objects can carry."""
    put(store, bucket, prefix + "page.html", b"<p>hello</p>", ContentType="text/html; charset=utf-8",
        CacheControl="max-age=60", ContentDisposition="inline", ContentEncoding="identity",
        ContentLanguage="de", Metadata={"colour": "blue", "Owner-Name": "anna"},
        Tagging="project=x%20y&cost=7")
    put(store, bucket, prefix + "marked/", b"", Metadata={"file-permissions": "0040700"})
    put(store, bucket, prefix + "marked/inner")
    put(store, bucket, prefix + "bare/deep/file", tree.noise("deep", 3 * MIB))
    put(store, bucket, prefix + "both", b"the file")
    put(store, bucket, prefix + "both/below", b"what is below")
    put(store, bucket, prefix + "empty", b"")
    put(store, bucket, prefix + "large", tree.noise("large", 21 * MIB),
        ContentType="video/mp4", Metadata={"reel": "1"}, Tagging="kind=film")
    put(store, bucket, prefix + "sp ace+plus%41", b"odd")
    put(store, bucket, prefix + "n" * 300, b"a long name")


def task_between(site, source, destination, prefixes=("", ""), options=None, **more):
    """A task from a bucket of the store to another, AVAILABLE."""
    arn = site.create_task(
        site.store_location(source, prefixes[0]),
        site.store_location(destination, prefixes[1]),
        options, **more,
    )
    site.wait_task(arn, "AVAILABLE")
    return arn


@pytest.fixture
def buckets(site):
    return site.bucket("from"), site.bucket("to")


def test_a_tree_goes_from_nfs_to_s3_and_on_to_s3(site, store, buckets):
    middle, last = buckets
    source = site.source("round")
    tree.odd_names(source)
    tree.neighbours(source)
    tree.kinds(tree.directory(source + b"/kinds"))
    tree.sizes(tree.directory(source + b"/sizes"))
    site.run(site.task(source, middle, "in/"))
    fill(store, middle, "in/other/")
    task = task_between(site, middle, last, ("in/", "out/"))
    options = site.datasync.describe_task(TaskArn=task)["Options"]
    kept = {name: options[name] for name in ("Uid", "Mtime", "ObjectTags", "PosixPermissions")}
    assert kept == {"Uid": "NONE", "Mtime": "NONE", "ObjectTags": "PRESERVE",
                    "PosixPermissions": "NONE"}
    before = state(store.client, middle, "in/")
    done = site.run(task)
    assert done["FilesTransferred"] == len(before), shown(done)
    # What has a checksum of the store's own and is not small, the store copied by itself.
    assert done["BytesTransferred"] < done["BytesWritten"], shown(done)
    assert_same(before, state(store.client, last, "out/"))
    assert_same(before, state(store.client, middle, "in/"))
    again = site.run(task)
    assert again["FilesTransferred"] == 0, shown(again)
    assert open_uploads(store.client, last) == []


def test_what_changes_is_copied_and_what_goes_is_deleted(site, store, buckets):
    source, destination = buckets
    fill(store, source)
    task = task_between(site, source, destination, options={
        "PreserveDeletedFiles": "REMOVE", "VerifyMode": "ONLY_FILES_TRANSFERRED"})
    site.run(task)
    time.sleep(1.1)
    # At the source: other content, of the same size, and other metadata alone.
    put(store, source, "both", b"the FILE")
    put(store, source, "empty", b"", ContentType="text/plain")
    put(store, source, "new/one")
    for key in ("marked/", "both/below", "bare/deep/file"):
        store.client.delete_object(Bucket=source, Key=key)
    # At the destination: of the same size, gone, and a stranger.
    put(store, destination, "page.html", b"<p>HELLO</p>")
    store.client.delete_object(Bucket=destination, Key="marked/inner")
    put(store, destination, "stranger/x")
    done = site.run(task)
    assert done["FilesTransferred"] == 5, shown(done)
    assert done["FilesDeleted"] == 4, shown(done)
    assert_same(state(store.client, source), state(store.client, destination))
    assert site.run(task)["FilesTransferred"] == 0


def test_without_metadata_and_tags(site, store, buckets):
    source, destination = buckets
    fill(store, source)
    task = task_between(site, source, destination, options={
        "ObjectTags": "NONE", "VerifyMode": "ONLY_FILES_TRANSFERRED"})
    site.run(task)
    told = state(store.client, destination)["page.html"]
    assert (told["tags"], told["metadata"]["colour"]) == ([], "blue")


def failures(site, execution):
    """The list of items that the agent keeps, by key."""
    name = execution.rsplit("/", 1)[1]
    found = list(site.directory.rglob(f"*{name}*.jsonl"))
    assert len(found) == 1, found
    lines = found[0].read_text().splitlines()
    return {item["key"]: item for item in map(json.loads, lines)}


def test_keys_that_are_no_paths_are_named_and_the_rest_is_copied(site, store, buckets):
    source, destination = buckets
    odd = ["/lead/x", "a//b", "a//c", "a/./d", "a/../e", "a/..", "dir/"]
    for key in odd:
        put(store, source, key, b"12345")
    fine = ["a/f", "dir/below", "z"]
    for key in fine:
        put(store, source, key)
    # Nothing that may belong to them is deleted.
    put(store, destination, "dir/kept")
    put(store, destination, "gone")
    task = task_between(site, source, destination, options={
        "PreserveDeletedFiles": "REMOVE", "VerifyMode": "ONLY_FILES_TRANSFERRED"})
    done = site.run(task, status="ERROR")
    assert done["FilesTransferred"] == len(fine), shown(done)
    named = failures(site, done["TaskExecutionArn"])
    assert sorted(named) == ["/", "a/..", "a/../", "a/./", "a//", "dir/"], named
    assert all(item["code"] == "KeyNotAllowed" for item in named.values()), named
    assert "nothing whose key begins so is copied" in named["a//"]["detail"]
    assert "5 bytes" in named["dir/"]["detail"]
    assert keys(store.client, destination) == sorted([*fine, "dir/kept"])


def in_transfer(described):
    return described["Status"] == "TRANSFERRING" and described["BytesTransferred"] >= 2 * MIB


@pytest.fixture(scope="module")
def far(tmp_path_factory, module_logs):
    """Another store: between two of them every byte goes through the agent."""
    made = Store(tmp_path_factory.mktemp("far"), module_logs, port=9100)
    made.start()
    yield made
    made.stop()


class Slow(NamedTuple):
    """Buckets of two stores, and a task that takes a while."""

    source: str
    destination: str
    task: str
    far: Store

    def assert_same(self, store):
        there = state(self.far.client, self.source)
        assert_same(there, state(store.client, self.destination))


@pytest.fixture
def slow(site, far):
    source, destination = far.bucket(f"far-{os.urandom(3).hex()}"), site.bucket("near")
    fill(far, source)
    for number in range(40):
        put(far, source, f"many/{number:02}", tree.noise(number, MIB // 4),
            Metadata={"number": str(number)})
    task = site.create_task(
        site.store_location(source, ServerPort=far.port), site.store_location(destination),
        {"BytesPerSecond": SLOW, "VerifyMode": "ONLY_FILES_TRANSFERRED"})
    site.wait_task(task, "AVAILABLE")
    return Slow(source, destination, task, far)


def test_the_agent_is_killed_in_the_middle(site, store, slow):
    execution = site.launch(slow.task)
    for _ in range(2):
        site.wait_execution(execution, until=in_transfer)
        site.agent.kill()
        site.agent.start()
    ended = site.wait_execution(execution)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.assert_same(store)
    assert open_uploads(store.client, slow.destination) == []
    assert site.run(slow.task)["FilesTransferred"] == 0


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_store_is_killed_and_started_again(site, store, slow, side):
    execution = site.launch(slow.task)
    site.wait_execution(execution, until=in_transfer)
    killed = slow.far if side == "source" else store
    killed.stop()
    time.sleep(3)
    killed.start()
    ended = site.wait_execution(execution)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.assert_same(store)


def test_an_object_that_is_overwritten_while_it_is_read(site, store, slow):
    execution = site.launch(slow.task)
    site.wait_execution(execution, until=in_transfer)
    other = tree.noise("other", 21 * MIB)
    put(slow.far, slow.source, "large", other, Metadata={"reel": "2"})
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": -1})
    ended = site.wait_execution(execution)
    got = state(store.client, slow.destination)["large"]
    # One version or the other with its own metadata, never a mixture.
    reel = got["metadata"]["reel"]
    assert got["body"] == (other if reel == "2" else tree.noise("large", 21 * MIB)), reel
    assert ended["Status"] == "SUCCESS", shown(ended)
    site.run(slow.task)
    slow.assert_same(store)


def test_filters_and_manifests_choose(site, store, buckets):
    source, destination = buckets
    fill(store, source)
    rule = [{"FilterType": "SIMPLE_PATTERN", "Value": "/both|/bare"}]
    task = task_between(site, source, destination, options={
        "VerifyMode": "ONLY_FILES_TRANSFERRED"})
    site.run(task, Includes=rule)
    assert keys(store.client, destination) == ["bare/deep/file", "both", "both/below"]
    arguments = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    arguments += ["--endpoint", store.endpoint]
    site.control.cli(*arguments, text_in=store.secret_key + "\n")
    lists = site.bucket("lists")
    put(store, lists, "list.csv", b"page.html\nmarked/inner\nabsent\n")
    manifest = {"Action": "TRANSFER", "Format": "CSV", "Source": {"S3": {
        "ManifestObjectPath": "list.csv", "BucketAccessRoleArn": ROLE,
        "S3BucketArn": f"arn:aws:s3:::{lists}"}}}
    done = site.run(task, status="ERROR", ManifestConfig=manifest)
    assert done["FilesTransferred"] == 2, shown(done)
    assert list(failures(site, done["TaskExecutionArn"])) == ["absent"]
    assert "page.html" in keys(store.client, destination)


def test_a_report_names_every_object(site, store, buckets):
    source, destination = buckets
    fill(store, source)
    put(store, source, "a//b")
    reports = site.bucket("reports")
    arguments = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    arguments += ["--endpoint", store.endpoint]
    site.control.cli(*arguments, text_in=store.secret_key + "\n")
    report = {
        "OutputType": "STANDARD", "ReportLevel": "SUCCESSES_AND_ERRORS",
        "Destination": {"S3": {"Subdirectory": "r", "BucketAccessRoleArn": ROLE,
                               "S3BucketArn": f"arn:aws:s3:::{reports}"}},
    }
    task = task_between(site, source, destination, TaskReportConfig=report, options={
        "VerifyMode": "ONLY_FILES_TRANSFERRED"})
    done = site.run(task, status="ERROR")

    def ended():
        described = site.describe(done["TaskExecutionArn"])
        return described["ReportResult"]["Status"] == "SUCCESS"

    wait_until("the report is written", ended, 60)
    told = {}
    for key in keys(store.client, reports):
        if "files-transferred" in key:
            body = store.client.get_object(Bucket=reports, Key=key)["Body"].read()
            for entry in json.loads(body)["Transferred"]:
                told[entry["RelativePath"]] = entry
    wanted = [key for key in keys(store.client, source) if key not in ("a//b", "marked/")]
    assert {"/" + key for key in wanted} <= set(told), sorted(told)
    assert any("//" in path for path in told), sorted(told)


def test_locations_that_hold_each_other_are_refused(site, store, buckets):
    bucket, _ = buckets
    for prefixes in [("", ""), ("a/", "a/b/"), ("a/b/", "a/"), ("", "a/")]:
        with pytest.raises(ClientError, match="overlap"):
            site.create_task(*(site.store_location(bucket, prefix) for prefix in prefixes))
    task_between(site, bucket, bucket, ("a/", "ab/"))


def test_a_source_that_cannot_be_read_says_why(site, store, buckets):
    _, destination = buckets
    source = site.store_location("no-such-bucket")
    task = site.create_task(source, site.store_location(destination))
    told = site.wait_task(task, "UNAVAILABLE")
    assert told["ErrorCode"] == "SourcePathNotFound", told
    assert "no bucket no-such-bucket" in told["ErrorDetail"], told


def test_nothing_is_ever_written_to_the_source(site, store, buckets):
    source, destination = buckets
    put(store, source, "only")
    site.run(task_between(site, source, destination))
    versions = store.client.list_objects_v2(Bucket=source)
    assert [item["Key"] for item in versions["Contents"]] == ["only"]


@pytest.fixture
def pair(request, directory, module_logs, nfs, store):
    return Pair(request.node.name.removeprefix("test_")[:30].replace("_", "-"),
                directory, module_logs, nfs, store)


def test_copy_without_control(pair, store):
    source = store.bucket("copy-source")
    fill(store, source, "in/")
    told = pair.document(source=f"s3://{source}/in")
    assert told["counters"]["failed"] == 0, told
    before = state(store.client, source, "in/")
    assert told["counters"]["transferred"] == len(before), told
    assert_same(before, state(store.client, pair.bucket, "to/"))
    again = pair.document(source=f"s3://{source}/in")
    assert again["counters"]["transferred"] == 0, again
    # Each of the five directories costs a listing and a HEAD, and objects nothing.
    asked = again["requests"]["source"]
    assert asked.keys() <= {"HeadObject", "ListObjectsV2"}, asked
    assert asked["HeadObject"] <= 10, asked
    answer = pair.run(source=f"s3://{pair.bucket}/to/x", code=None)
    assert answer.returncode != 0 and "overlap" in answer.stderr, answer
    bare = pair.document("--object-metadata", "NONE", "--object-tags", "NONE",
                         source=f"s3://{source}/in", destination=f"s3://{pair.bucket}/bare")
    assert bare["counters"]["failed"] == 0, bare
    assert state(store.client, pair.bucket, "bare/")["page.html"]["tags"] == []


def test_copy_between_two_stores(pair, store, far):
    source = far.bucket("elsewhere")
    fill(far, source)
    told = pair.document("--source-endpoint-url", far.endpoint, source=f"s3://{source}")
    assert told["counters"]["failed"] == 0, told
    assert_same(state(far.client, source), state(store.client, pair.bucket, "to/"))
