"""SHA-256 where it is asked for: the store's own word of every object, or nothing is transferred."""

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError
from world import tree
from world.expected import keys
from world.site import shown
from world.store import Store

MIB = 1024 * 1024
PART = 8 * MIB
TAG = "datasync:checksum-algorithm"
SHA256 = [{"Key": TAG, "Value": "SHA256"}]


def digest(content):
    return hashlib.sha256(content).digest()


def text(value):
    return base64.b64encode(value).decode()


def expected(content):
    """What S3 tells of an object that was sent in one request, or in parts of 8 MiB."""
    if len(content) <= PART:
        return text(digest(content)), "FULL_OBJECT"
    parts = [content[at : at + PART] for at in range(0, len(content), PART)]
    return f"{text(digest(b''.join(map(digest, parts))))}-{len(parts)}", "COMPOSITE"


def told(client, bucket, key):
    head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    return head.get("ChecksumSHA256"), head.get("ChecksumType"), head.get("ChecksumCRC64NVME")


def contents(source):
    """Of every way to send one: without the SDK, with it, in parts."""
    files = {"small": b"content", "mib": tree.noise("mib", 2 * MIB)}
    for name, content in files.items():
        tree.write(source + b"/" + name.encode(), content)
    tree.big(source + b"/large", 2 * PART + 5)
    with open(source + b"/large", "rb") as file:
        return files | {"large": file.read()}


def test_the_store_tells_the_sha256_of_what_a_task_transferred(site, store):
    source, bucket = site.source("sha256"), site.bucket("sha256")
    files = contents(source)
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    task = site.task(source, bucket, options=options, Tags=SHA256)
    done = site.run(task)
    # The directory of the location has no object here: there is no prefix.
    assert done["FilesTransferred"] == done["FilesVerified"] == len(files), shown(done)
    for name, content in files.items():
        assert told(store.client, bucket, name) == (*expected(content), None), name
    again = site.run(task)
    assert (again["FilesTransferred"], again["FilesVerified"]) == (0, len(files)), shown(again)


def test_an_execution_asks_for_another_one_than_its_task(site, store):
    source, bucket = site.source("sha256-once"), site.bucket("sha256-once")
    tree.write(source + b"/file", b"content")
    task = site.task(source, bucket, options={"TransferMode": "ALL"})
    site.run(task, Tags=SHA256)
    assert told(store.client, bucket, "file")[0] == text(digest(b"content"))
    site.datasync.tag_resource(ResourceArn=task, Tags=SHA256)
    site.run(task, Tags=[{"Key": TAG, "Value": "AUTOMATIC"}])
    sha256, _, crc64nvme = told(store.client, bucket, "file")
    assert sha256 is None and crc64nvme is not None


def test_an_unknown_algorithm_is_refused(site):
    source, bucket = site.source("sha1"), site.bucket("sha1")
    task = site.task(source, bucket)
    with pytest.raises(ClientError) as refused:
        site.datasync.tag_resource(ResourceArn=task, Tags=[{"Key": TAG, "Value": "SHA1"}])
    message = refused.value.response["Error"]["Message"]
    assert "must be one of AUTOMATIC, SHA256" in message, message


@pytest.fixture
def older_store(tmp_path, module_logs):
    made = Store(tmp_path / "objects", module_logs, port=9031, integrity="md5-only")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_store_that_does_not_check_it_gets_nothing(site, older_store):
    source, bucket = site.source("sha256-older"), older_store.bucket("older")
    tree.write(source + b"/file", b"content")
    location = site.store_location(bucket, ServerPort=older_store.port)
    task = site.create_task(site.nfs_location(source), location)
    site.wait_task(task, "AVAILABLE")
    ended = site.run(task, status="ERROR", Tags=SHA256)
    result = ended["Result"]
    assert result["ErrorCode"] == "NotSupported", shown(ended)
    assert "x-amz-checksum-sha256" in result["ErrorDetail"], shown(ended)
    assert keys(older_store.client, bucket) == []
    assert site.run(task)["FilesTransferred"] == 1
