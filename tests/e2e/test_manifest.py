"""Tasks that transfer what a manifest lists: a CSV object in a bucket of its own."""

import os

import pytest
from botocore.exceptions import ClientError
from world import tree
from world.expected import keys
from world.process import wait_until
from world.secrets import remember
from world.site import ROLE, shown

KIB = 1024
MIB = 1024 * KIB
LISTS = "lists"


@pytest.fixture(scope="module", autouse=True)
def role(site, store):
    """The role of the manifests' bucket lives at our store."""
    arguments = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    arguments += ["--endpoint", store.endpoint]
    site.control.cli(*arguments, text_in=store.secret_key + "\n")
    store.client.create_bucket(Bucket=LISTS)


def config(key, **changed):
    place = {
        "ManifestObjectPath": key,
        "BucketAccessRoleArn": ROLE,
        "S3BucketArn": f"arn:aws:s3:::{LISTS}",
    }
    return {"Action": "TRANSFER", "Format": "CSV", "Source": {"S3": place | changed}}


def listing(store, key, text):
    """A manifest with this content."""
    content = text if isinstance(text, bytes) else text.encode()
    store.client.put_object(Bucket=LISTS, Key=key, Body=content)
    return config(key)


@pytest.fixture
def source(site, request):
    path = site.source("manifest")
    for name in (b"a", b"b,c", b"d"):
        below = tree.directory(path + b"/" + name)
        for file in (b"one", b"two words", b'say "hi"', "caf\u00e9".encode()):
            tree.write(below + b"/" + file, name + b" " + file)
    tree.write(path + b"/top", b"top")
    os.symlink(b"top", path + b"/link")
    return path


def content(store, bucket):
    got = {}
    for key in keys(store.client, bucket):
        got[key] = store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return got


def refused(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_what_is_listed_is_transferred_and_nothing_else(site, store, source):
    lines = '"b,c/one"\r\n/top\r\n"a/say ""hi"""\nd/two words\rlink\n\nd/caf\u00e9'
    manifest = listing(store, "in/first.csv", lines)
    bucket = site.bucket("manifest")
    store.client.put_object(Bucket=bucket, Key="stranger", Body=b"stays")
    task = site.task(source, bucket, ManifestConfig=manifest)
    assert site.datasync.describe_task(TaskArn=task)["ManifestConfig"] == manifest
    done = site.run(task)
    assert done["ManifestConfig"] == manifest
    assert done["FilesTransferred"] == 6, shown(done)
    assert content(store, bucket) == {
        "a/say \"hi\"": b'a say "hi"',
        "b,c/one": b"b,c one",
        "d/caf\u00e9": b"d caf\xc3\xa9",
        "d/two words": b"d two words",
        "link": b"top",
        "stranger": b"stays",
        "top": b"top",
    }
    again = site.run(task)
    assert (again["FilesTransferred"], again["EstimatedFilesToTransfer"]) == (0, 0), shown(again)
    tree.write(source + b"/top", b"changed at the top")
    tree.write(source + b"/a/one", b"changed, and not listed")
    assert site.run(task)["FilesTransferred"] == 1
    assert content(store, bucket)["top"] == b"changed at the top"


def test_only_listed_entries_count(site, store, source):
    manifest = listing(store, "counted.csv", "a/one\nabsent\nd/one\n")
    task = site.task(source, site.bucket("counted"), TaskMode="ENHANCED", ManifestConfig=manifest)
    done = site.run(task, status="ERROR")
    assert done["FilesListed"]["AtSource"] == 3, shown(done)
    assert (done["FilesTransferred"], done["FoldersTransferred"]) == (2, 0), shown(done)


def test_items_that_cannot_be_transferred_are_reported_and_the_rest_is(site, store, source):
    lines = 'a/absent\na/one\nabsent/one\n"b,c"\nd/\n.zfs/x\n'
    bucket = site.bucket("absent")
    task = site.task(source, bucket, ManifestConfig=listing(store, "absent.csv", lines))
    done = site.run(task, status="ERROR")
    assert keys(store.client, bucket) == ["a/one"]
    detail = done["Result"]["ErrorDetail"]
    assert done["Result"]["ErrorCode"] == "ItemsFailed", shown(done)
    assert "5 of 6 items" in detail and "/.zfs/x" in detail, detail


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("three", "a/one\na,b,c\n", ["line 2", "more than two fields"]),
        ("version", "a/one,3HL4kqtJvjVBH40Nrjfkd\n", ["line 1", "version id"]),
        ("twice", "a/one\nd/one\n/a/one\n", ["\"a/one\"", "more than once"]),
        ("latin", b"a/one\ncaf\xe9\n", ["line 2", "UTF-8"]),
        ("quote", 'a/one\n"a/two\n', ["line 2", "not closed"]),
        ("above", "../etc/passwd\n", ["line 1", "no path"]),
    ],
)
def test_a_manifest_that_breaks_a_rule_transfers_nothing(site, store, source, name, text, words):
    bucket = site.bucket(name)
    task = site.task(source, bucket, ManifestConfig=listing(store, f"{name}.csv", text))
    done = site.run(task, status="ERROR")
    result = done["Result"]
    assert result["ErrorCode"] == "ManifestFileInvalid", shown(done)
    for word in [*words, f"s3://{LISTS}/{name}.csv"]:
        assert word in result["ErrorDetail"], shown(done)
    assert keys(store.client, bucket) == []


def test_a_manifest_that_is_not_there(site, store, source):
    task = site.task(source, site.bucket("none"), ManifestConfig=config("nowhere.csv"))
    result = site.run(task, status="ERROR")["Result"]
    assert result["ErrorCode"] == "ManifestFileDoesNotExist", result
    assert f"s3://{LISTS}/nowhere.csv" in result["ErrorDetail"], result
    elsewhere = config("a.csv", S3BucketArn="arn:aws:s3:::no-such-bucket")
    result = site.run(task, status="ERROR", ManifestConfig=elsewhere)["Result"]
    assert result["ErrorCode"] == "ManifestFileDoesNotExist", result


def test_a_role_whose_key_the_store_does_not_accept(site, store, source):
    role = "arn:aws:iam::123456789012:role/wrong"
    secret = remember("a wrong key", "canary/wrongKeyOfTheManifest0123456789ab")
    arguments = ["role", "set-key", role, "--access-key-id", "AKIAWRONG00000000001"]
    site.control.cli(*arguments, "--endpoint", store.endpoint, text_in=secret + "\n")
    listing(store, "guarded.csv", "a/one\n")
    manifest = config("guarded.csv", BucketAccessRoleArn=role)
    task = site.task(source, site.bucket("wrong"), ManifestConfig=manifest)
    result = site.run(task, status="ERROR")["Result"]
    assert result["ErrorCode"] == "ManifestFileUnreadable", result


def test_an_execution_may_have_another_manifest_or_none(site, store, source):
    bucket = site.bucket("other")
    task = site.task(source, bucket, ManifestConfig=listing(store, "mine.csv", "a/one\n"))
    other = listing(store, "other.csv", "d/one\n")
    done = site.run(task, ManifestConfig=other)
    assert done["ManifestConfig"] == other
    assert keys(store.client, bucket) == ["d/one"]
    whole = site.run(task, ManifestConfig={})
    assert "ManifestConfig" not in whole
    assert len(keys(store.client, bucket)) == 17
    site.datasync.update_task(TaskArn=task, ManifestConfig={})
    assert "ManifestConfig" not in site.datasync.describe_task(TaskArn=task)


def test_an_empty_manifest_lists_nothing(site, store, source):
    bucket = site.bucket("empty")
    task = site.task(source, bucket, ManifestConfig=listing(store, "empty.csv", ""))
    assert site.run(task)["FilesTransferred"] == 0
    assert keys(store.client, bucket) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"Includes": [{"FilterType": "SIMPLE_PATTERN", "Value": "/a"}]}, "Includes"),
        ({"Excludes": [{"FilterType": "SIMPLE_PATTERN", "Value": "*.tmp"}]}, "Excludes"),
        ({"Options": {"PreserveDeletedFiles": "REMOVE"}}, "PreserveDeletedFiles"),
    ],
)
def test_what_does_not_go_with_a_manifest_is_refused_wherever_it_is_given(
    site, store, source, more, words
):
    manifest = listing(store, "refused.csv", "a/one\n")
    nfs, bucket = site.nfs_location(source), site.store_location(site.bucket("refused"))
    ends = {"SourceLocationArn": nfs, "DestinationLocationArn": bucket}
    code, message = refused(site.datasync.create_task, **ends, **more, ManifestConfig=manifest)
    assert code == "InvalidRequestException" and words in message, message
    task = site.create_task(nfs, bucket, ManifestConfig=manifest)
    code, message = refused(site.datasync.update_task, TaskArn=task, **more)
    assert code == "InvalidRequestException" and words in message, message
    site.wait_task(task, "AVAILABLE")
    at_start = {"OverrideOptions" if name == "Options" else name: more[name] for name in more}
    code, message = refused(site.datasync.start_task_execution, TaskArn=task, **at_start)
    assert code == "InvalidRequestException" and words in message, message
    site.run(task, ManifestConfig={}, options=more.get("Options"), **(
        {} if "Options" in more else more
    ))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ManifestObjectPath": ""}, "ManifestObjectPath"),
        ({"ManifestObjectPath": "directory/"}, "ManifestObjectPath"),
        ({"ManifestObjectPath": "a*b"}, "ManifestObjectPath"),
        ({"S3BucketArn": "bucket"}, "S3BucketArn"),
        ({"BucketAccessRoleArn": "role"}, "BucketAccessRoleArn"),
        ({"ManifestObjectVersionId": "v" * 101}, "ManifestObjectVersionId"),
    ],
)
def test_members_are_checked(site, source, changed, words):
    nfs, bucket = site.nfs_location(source), site.store_location(site.bucket("members"))
    code, message = refused(
        site.datasync.create_task,
        SourceLocationArn=nfs,
        DestinationLocationArn=bucket,
        ManifestConfig=config("a.csv", **changed),
    )
    assert code == "InvalidRequestException" and words in message, message


def test_words_are_checked_and_a_source_is_needed(site, source):
    nfs, bucket = site.nfs_location(source), site.store_location(site.bucket("words"))
    ends = {"SourceLocationArn": nfs, "DestinationLocationArn": bucket}
    create = site.datasync.create_task
    for member in ("Action", "Format"):
        manifest = config("a.csv") | {member: "OTHER"}
        code, message = refused(create, **ends, ManifestConfig=manifest)
        assert code == "InvalidRequestException" and member in message, message
    code, message = refused(create, **ends, ManifestConfig={"Action": "TRANSFER"})
    assert code == "ValidationException" and "role" in message, message


def test_a_run_that_was_killed_goes_on_by_the_manifest_it_began_with(site, store):
    source = site.source("killed")
    for number in range(60):
        tree.write(source + b"/%02d" % number, tree.noise(number, 256 * KIB))
    tree.write(source + b"/unlisted", b"not listed")
    names = [f"{number:02d}" for number in range(0, 60, 2)]
    manifest = listing(store, "killed.csv", "\n".join(reversed(names)))
    bucket = site.bucket("killed")
    options = {"BytesPerSecond": MIB}
    task = site.task(source, bucket, options=options, ManifestConfig=manifest)
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["FilesTransferred"] >= 3)
    site.agent.server.kill()
    listing(store, "killed.csv", "unlisted\n")
    site.agent.start()
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": -1}
    )
    done = site.wait_execution(execution)
    assert done["Status"] == "SUCCESS", shown(done)
    assert done["FilesTransferred"] == 30, shown(done)
    assert keys(store.client, bucket) == names


def test_a_dry_run_and_a_full_verification_keep_to_the_manifest(site, store, source):
    bucket = site.bucket("dry")
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    manifest = listing(store, "dry.csv", "a/one\nd/one\n")
    task = site.task(source, bucket, options=options, ManifestConfig=manifest)
    planned = site.run(task, Tags=[{"Key": "datasync:dry-run", "Value": "true"}])
    assert planned["EstimatedFilesToTransfer"] == 2, shown(planned)
    assert keys(store.client, bucket) == []
    done = site.run(task)
    assert (done["FilesTransferred"], done["FilesVerified"]) == (2, 2), shown(done)


def test_another_manifest_waits_and_the_same_is_refused(site, store, source):
    tree.big(source + b"/big", 8 * MIB)
    bucket = site.bucket("queued")
    options = {"BytesPerSecond": MIB}
    task = site.task(
        source, bucket, options=options, ManifestConfig=listing(store, "big.csv", "big\n")
    )
    first = site.launch(task)
    code, message = refused(site.datasync.start_task_execution, TaskArn=task)
    assert code == "InvalidRequestException" and "manifest" in message, message
    second = site.launch(task, ManifestConfig=listing(store, "small.csv", "top\n"))
    wait_until("both end", lambda: site.describe(second)["Status"] == "SUCCESS", 60)
    assert site.describe(first)["Status"] == "SUCCESS"
    assert keys(store.client, bucket) == ["big", "top"]
