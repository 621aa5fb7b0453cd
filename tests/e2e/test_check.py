"""`datasync-agent check`: which hop, right or ability is missing, and that nothing of it stays behind."""

import json
import os

import pytest
from world import tree
from world.expected import keys, open_uploads
from world.process import binary, free_port, run



@pytest.fixture(scope="module")
def source(nfs):
    path = tree.directory(os.fsencode(nfs.open / "check"))
    tree.write(path + b"/file", b"content")
    tree.write(tree.directory(path + b"/deep") + b"/file", b"content")
    return path


@pytest.fixture
def check(store, tmp_path):
    def start(location, *flags, code=0, **variables):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": store.endpoint,
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        } | variables
        command = [binary("datasync-agent"), "check", location, *flags]
        answer = run(command, timeout=90, env=environment)
        assert answer.returncode == code, answer
        assert "panic" not in answer.stderr, answer
        assert store.secret_key not in answer.stdout + answer.stderr
        return answer

    return start


def steps(check, location, *flags, code=0, **variables):
    """Each step with its result and what is said of it."""
    answer = check(location, "--json", *flags, code=code, **variables)
    document = json.loads(answer.stdout)
    assert document["usable"] == (code == 0), document
    return {step["step"]: (step["result"], step["detail"]) for step in document["steps"]}


def failed(found):
    return [step for step, (result, _) in found.items() if result == "FAIL"]


def test_an_export_that_can_be_read(check, nfs, source):
    answer = check(f"nfs://{nfs.host}{os.fsdecode(source)}")
    lines = answer.stdout.splitlines()
    assert lines[-1] == "The location can be used.", answer.stdout
    said = [line.split(": ")[0].split()[-1] for line in lines[1:-1]]
    assert said == ["DNS", "Portmapper", "TCP", "MOUNT", "READDIR", "READ"], answer.stdout
    assert "listed 2 directories, read the first byte of 2 files" in answer.stdout


def test_the_hop_that_is_missing_is_named(check, nfs, source):
    path = os.fsdecode(source)
    for host, missing in [("nas.invalid", "DNS"), (f"{nfs.host}:2", "TCP")]:
        found = steps(check, f"nfs://{host}{path}", code=1)
        assert failed(found) == [missing], found
    found = steps(check, f"nfs://{nfs.host}/no/such/export", code=1)
    assert failed(found) == ["MOUNT"] and "/no/such/export" in found["MOUNT"][1], found
    found = steps(check, f"nfs://{nfs.host}{path}", "--nfs-version", "NFS4_1", code=1)
    assert failed(found) == ["MOUNT"] and "PROG_MISMATCH" in found["MOUNT"][1], found


def test_what_the_export_does_not_let_root_read_is_named(check, nfs):
    path = tree.directory(os.fsencode(nfs.squashed / "check"))
    tree.write(path + b"/open", b"content")
    tree.write(path + b"/secret", b"content")
    os.chmod(path + b"/secret", 0o600)
    found = steps(check, f"nfs://{nfs.host}{os.fsdecode(path)}", code=1)
    assert failed(found) == ["READ"], found
    said = found["READ"][1]
    assert said.startswith("/secret cannot be read: ") and "no_root_squash" in said, said


def test_a_bucket_that_can_be_written(check, store):
    bucket = store.bucket("check")
    store.client.put_object(Bucket=bucket, Key="p/there", Body=b"content")
    found = steps(check, f"s3://{bucket}/p", "--write")
    assert not failed(found), found
    assert list(found) == [
        "DNS", "TCP", "HEAD", "Clock", "Credentials", "s3:ListBucket", "s3:GetObject",
        "s3:GetObjectTagging", "s3:PutObject", "CreateMultipartUpload", "UploadPart", "s3:ListMultipartUploadParts",
        "s3:ListBucketMultipartUploads", "s3:AbortMultipartUpload", "PutObject", "GetObject",
        "CopyObject", "s3:DeleteObject", "s3:PutObjectTagging",
    ]  # fmt: skip
    assert "CRC-64/NVME" in found["s3:PutObject"][1], found
    assert keys(store.client, bucket) == ["p/there"], "something stays behind"
    assert open_uploads(store.client, bucket) == []


def test_without_the_flag_nothing_is_written(check, store):
    bucket = store.bucket("check-look")
    before = store.client.list_objects_v2(Bucket=bucket).get("Contents")
    found = steps(check, f"s3://{bucket}")
    assert list(found)[-1] == "s3:GetObject", found
    assert store.client.list_objects_v2(Bucket=bucket).get("Contents") == before


def test_what_a_store_refuses_is_named(check, store):
    bucket = store.bucket("check-refused")
    found = steps(check, f"s3://{bucket}", code=1, AWS_ACCESS_KEY_ID="AKIANOBODY0000000000")
    assert failed(found) == ["s3:ListBucket"], found
    assert "InvalidAccessKeyId" in found["s3:ListBucket"][1], found
    found = steps(check, "s3://no-such-bucket-here", code=1)
    assert failed(found) == ["s3:ListBucket"], found
    assert "there is no bucket no-such-bucket-here" in found["s3:ListBucket"][1], found
    nobody = f"http://127.0.0.1:{free_port()}"
    found = steps(check, f"s3://{bucket}", "--endpoint-url", nobody, code=1)
    assert failed(found) == ["TCP"], found


def test_flags_that_make_no_sense(check):
    for location, said in [
        ("nas:/export", "is none of nfs://"),
        ("nfs://nas", "is not nfs://HOST"),
        ("efs://fs-0123abcd/", "is not efs://REGION"),
        ("s3://", "is not s3://BUCKET"),
    ]:
        answer = check(location, code=64)
        assert said in answer.stderr, answer
    answer = check("nfs://nas/x", "--nfs-version", "NFS5", code=64)
    assert "NFS4_1" in answer.stderr, answer
