"""`datasync-agent check`: what a destination needs, each right that is denied, clocks and regions."""

import os
from urllib.parse import parse_qs, urlsplit

import pytest
from test_check import check, failed, source, steps  # noqa: F401
from test_clock_jumps import FAKETIME
from world import tree
from world.copied import STAGING
from world.expected import keys, open_uploads
from world.gate import DENIED, Answer, Gate
from world.site import shown
from world.store import PORT as STORE_PORT

HOUR = 3600
GATE_PORT = 9020
OURS, THEIRS = "us-west-2", "eu-central-1"


@pytest.fixture(scope="module")
def gate(store):
    made = Gate(GATE_PORT, STORE_PORT).start()
    yield made
    made.stop()


@pytest.fixture
def deny(gate):
    """Denies what a function of method, key, query and headers says."""

    def begin(matches):
        def decide(asked):
            url = urlsplit(asked.path)
            key = url.path.split("/", 2)[2] if url.path.count("/") > 1 else ""
            query = parse_qs(url.query, keep_blank_values=True)
            headers = {name.lower(): value for name, value in asked.headers.items()}
            return DENIED if matches(asked.method, key, query, headers) else None

        gate.decide = decide
        return gate.endpoint

    yield begin
    gate.decide = None


def test_an_export_that_can_be_written(check, nfs, source):  # noqa: F811
    before = sorted(os.listdir(source))
    found = steps(check, f"nfs://{nfs.host}{os.fsdecode(source)}", "--write")
    assert not failed(found), found
    assert list(found)[-1] == "WRITE" and "removed again" in found["WRITE"][1], found
    assert sorted(os.listdir(source)) == before, "something stays behind"


def test_an_export_that_lets_root_write_nothing(check, nfs):  # noqa: F811
    path = tree.directory(os.fsencode(nfs.squashed / "check-write"))
    tree.write(path + b"/file", b"content")
    location = f"nfs://{nfs.host}{os.fsdecode(path)}"
    assert not failed(steps(check, location))
    found = steps(check, location, "--write", code=1)
    assert failed(found) == ["WRITE"], found
    assert "no_root_squash" in found["WRITE"][1], found
    assert STAGING not in os.listdir(path)
    # Whose owner nobody can set.
    os.chown(path, 65534, 65534)
    found = steps(check, location, "--write")
    assert sorted(os.listdir(path)) == [b"file"], "something stays behind"


def is_list(method, key, query, headers):
    return method == "GET" and not key and "uploads" not in query


def is_get(method, key, query, headers):
    return method == "GET" and bool(key) and "uploadId" not in query


def is_put(method, key, query, headers):
    return method == "PUT" and bool(key)


def is_list_parts(method, key, query, headers):
    return method == "GET" and "uploadId" in query


def is_list_uploads(method, key, query, headers):
    return method == "GET" and "uploads" in query


def is_abort(method, key, query, headers):
    return method == "DELETE" and "uploadId" in query


def is_delete(method, key, query, headers):
    return (method == "DELETE" and "uploadId" not in query) or (method == "POST" and "delete" in query)


@pytest.mark.parametrize("denied,step,operation", [
    (is_list, "s3:ListBucket", "ListObjectsV2"),
    (is_get, "s3:GetObject", "GetObject"),
    (is_put, "s3:PutObject", "PutObject"),
    (is_list_parts, "s3:ListMultipartUploadParts", "ListParts"),
    (is_list_uploads, "s3:ListBucketMultipartUploads", "ListMultipartUploads"),
    # Needed as soon as it is looked what a write proves.
    (is_abort, "s3:PutObject", "AbortMultipartUpload"),
])
def test_the_right_that_is_denied_is_named(check, store, deny, denied, step, operation):  # noqa: F811
    bucket = store.bucket(f"check-{operation.lower()}")
    store.client.put_object(Bucket=bucket, Key="there", Body=b"content")
    flags = ["--write", "--endpoint-url", deny(denied)]
    found = steps(check, f"s3://{bucket}", *flags, code=1)
    assert step in failed(found), found
    assert operation in found[step][1] and "AccessDenied" in found[step][1], found
    assert [name for name in failed(found) if name.startswith("s3:")] == [step], found


@pytest.mark.parametrize("denied,right", [(is_list, "s3:ListBucket"), (is_put, "s3:PutObject")])
def test_a_task_names_the_right_that_is_denied(site, deny, denied, right):
    bucket = site.bucket(f"task-{right.split(':')[1].lower()}")
    deny(denied)
    location = site.store_location(bucket, ServerPort=GATE_PORT)
    task = site.create_task(site.nfs_location(site.source(bucket)), location)
    described = site.wait_task(task, "UNAVAILABLE")
    assert described["ErrorCode"] == "DestinationPermissionDenied", shown(described)
    assert f"the right that is missing: {right}" in described["ErrorDetail"], shown(described)


def test_without_the_right_to_delete_a_location_can_be_used(check, store, deny):  # noqa: F811
    bucket = store.bucket("check-delete")
    found = steps(check, f"s3://{bucket}", "--write", "--endpoint-url", deny(is_delete))
    assert not failed(found), found
    result, said = found["s3:DeleteObject"]
    assert result == "WARNING" and "AccessDenied" in said and "REMOVE" in said, found
    assert open_uploads(store.client, bucket) == []
    # What could not be removed is where the engine looks at nothing.
    there = keys(store.client, bucket)
    assert any(f"{key} stays" in said for key in there), found
    assert all(key.startswith(".aws-datasync/") for key in there), there


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_clock_that_stores_refuse_is_named(check, store, seconds):  # noqa: F811
    bucket = store.bucket(f"check-clock-{abs(seconds)}-{seconds < 0}".lower())
    assert os.path.exists(FAKETIME), "faketime is not installed; tests/run installs it"
    wrong = {"LD_PRELOAD": FAKETIME, "FAKETIME": f"{seconds:+d}s", "DONT_FAKE_MONOTONIC": "1"}
    found = steps(check, f"s3://{bucket}", code=1, **wrong)
    assert failed(found) == ["Clock"], found
    said = found["Clock"][1]
    assert "NTP" in said, found
    assert abs(int(said.split(" s ahead")[0].rpartition(" ")[2]) - seconds) < 60, found
    # What stores put up with is told and no failure.
    found = steps(check, f"s3://{bucket}", **wrong | {"FAKETIME": f"{seconds // 12:+d}s"})
    assert found["Clock"][0] == "OK", found


def of_another_region(hint):
    """A store whose buckets are in THEIRS, and what it says to those who ask in another one."""

    def decide(asked):
        signed = asked.headers.get("Authorization") or asked.headers.get("authorization")
        if signed is None or f"/{THEIRS}/s3/" in signed:
            return None
        return Answer(400, "AuthorizationHeaderMalformed", f"<Region>{THEIRS}</Region>" if hint else "")

    return decide


def test_a_wrong_region_is_put_right_where_the_store_tells_it(check, store, gate):  # noqa: F811
    bucket = store.bucket("check-region")
    gate.decide = of_another_region(hint=True)
    flags = ["--write", "--endpoint-url", gate.endpoint, "--region", OURS]
    found = steps(check, f"s3://{bucket}", *flags)
    assert not failed(found), found


def test_a_wrong_region_is_named(check, store, gate):  # noqa: F811
    bucket = store.bucket("check-region-untold")
    gate.decide = of_another_region(hint=False)
    flags = ["--endpoint-url", gate.endpoint, "--region", OURS]
    found = steps(check, f"s3://{bucket}", *flags, code=1)
    assert failed(found) == ["s3:ListBucket"], found
    assert "AuthorizationHeaderMalformed" in found["s3:ListBucket"][1], found
    assert not failed(steps(check, f"s3://{bucket}", *flags[:2], "--region", THEIRS))
