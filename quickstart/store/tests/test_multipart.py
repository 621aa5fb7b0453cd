"""Multipart uploads: parts, checksums of the whole, resumption, ends."""

import base64
import hashlib
import os
import signal
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

import checksums

MIB = 1024 * 1024
PARTS = [bytes([n]) * (5 * MIB) for n in (1, 2)] + [b"tail"]
SMALL = b"".join(PARTS)[-1000:]


def refused(code):
    return pytest.raises(ClientError, match=rf"\({code}\)")


def etag_of(parts):
    whole = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
    return f'"{whole}-{len(parts)}"'


def upload(s3, parts, create=None, part_sum=None):
    """Sends the parts; returns the id and the list for Complete."""
    id = s3.create_multipart_upload(Bucket="bucket", Key="k", **(create or {}))["UploadId"]
    done = []
    for number, body in enumerate(parts, 1):
        sums = part_sum(body) if part_sum else {}
        reply = s3.upload_part(Bucket="bucket", Key="k", UploadId=id, PartNumber=number, Body=body, **sums)
        done.append({"PartNumber": number, "ETag": reply["ETag"], **sums})
    return id, done


@pytest.fixture
def plain(store, s3):
    return store.client(request_checksum_calculation="when_required")


def test_parts_become_an_object(store, plain):
    id, done = upload(plain, PARTS, {"Metadata": {"m": "1"}, "StorageClass": "GLACIER_IR", "Tagging": "a=b"})
    store.stop(signal.SIGKILL)
    store.start(store.endpoint.removeprefix("http://"))
    listed = plain.list_parts(Bucket="bucket", Key="k", UploadId=id, MaxParts=2)
    assert [p["Size"] for p in listed["Parts"]] == [5 * MIB] * 2 and listed["IsTruncated"]
    more = plain.list_parts(Bucket="bucket", Key="k", UploadId=id, PartNumberMarker=listed["NextPartNumberMarker"])
    assert [p["ETag"] for p in more["Parts"]] == [done[2]["ETag"]]
    uploads = plain.list_multipart_uploads(Bucket="bucket", Prefix="k")["Uploads"]
    assert [u["UploadId"] for u in uploads] == [id]
    reply = plain.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": done})
    assert reply["ETag"] == etag_of(PARTS)
    head = plain.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
    assert (head["Metadata"], head["StorageClass"]) == ({"m": "1"}, "GLACIER_IR")
    assert head["ChecksumType"] == "FULL_OBJECT" and len(base64.b64decode(head["ChecksumCRC64NVME"])) == 8
    got = plain.get_object(Bucket="bucket", Key="k", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert got["Body"].read() == b"\1\1\2\2"
    assert plain.get_object(Bucket="bucket", Key="k", PartNumber=3)["Body"].read() == b"tail"
    assert plain.get_object(Bucket="bucket", Key="k")["Body"].read() == b"".join(PARTS)
    assert "Uploads" not in plain.list_multipart_uploads(Bucket="bucket")
    with refused("NoSuchUpload"):
        plain.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": done})
    plain.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/k")
    copy = plain.head_object(Bucket="bucket", Key="copy", ChecksumMode="ENABLED")
    assert copy["ETag"] == f'"{hashlib.md5(b"".join(PARTS)).hexdigest()}"'
    assert copy["ChecksumCRC64NVME"] == head["ChecksumCRC64NVME"]


def test_full_object_crc64nvme_is_combined_and_compared(plain):
    create = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
    one = {"ChecksumCRC64NVME": checksums.crc64nvme(SMALL)}
    id, done = upload(plain, [SMALL], create, lambda _: one)
    with refused("BadDigest"):
        plain.complete_multipart_upload(
            Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": done},
            ChecksumCRC64NVME=checksums.crc64nvme(b""), ChecksumType="FULL_OBJECT")
    with refused("404"):
        plain.head_object(Bucket="bucket", Key="k")
    reply = plain.complete_multipart_upload(
        Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": done}, **one, ChecksumType="FULL_OBJECT")
    assert reply["ChecksumCRC64NVME"] == one["ChecksumCRC64NVME"] and reply["ChecksumType"] == "FULL_OBJECT"


def test_composite_checksums(plain):
    id, done = upload(plain, PARTS, {"ChecksumAlgorithm": "SHA256"}, lambda b: {"ChecksumSHA256": checksums.sha256(b)})
    with refused("InvalidRequest"):
        bare = [{k: v for k, v in part.items() if k != "ChecksumSHA256"} for part in done]
        plain.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": bare})
    reply = plain.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": done})
    sums = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in done)
    assert reply["ChecksumSHA256"] == checksums.sha256(sums) + "-3"
    assert reply["ChecksumType"] == "COMPOSITE"


def test_parts_are_verified(plain):
    id = plain.create_multipart_upload(Bucket="bucket", Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    part = {"Bucket": "bucket", "Key": "k", "UploadId": id, "PartNumber": 1, "Body": SMALL}
    with refused("BadDigest"):
        plain.upload_part(**part, ChecksumCRC32=checksums.crc32(b""))
    with refused("InvalidRequest"):
        plain.upload_part(**part, ChecksumSHA256=checksums.sha256(SMALL))
    with refused("InvalidArgument"):
        plain.upload_part(**{**part, "PartNumber": 10001})
    assert "Parts" not in plain.list_parts(Bucket="bucket", Key="k", UploadId=id)
    bare = plain.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    with refused("InvalidRequest"):
        plain.upload_part(**{**part, "UploadId": bare}, ChecksumCRC32=checksums.crc32(SMALL))
    with refused("InvalidRequest"):
        plain.create_multipart_upload(Bucket="bucket", Key="k", ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")


def test_complete_is_picky_and_abort_leaves_nothing(store, plain):
    id, done = upload(plain, [SMALL, SMALL])

    def complete(parts, **more):
        return plain.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": parts}, **more)

    for code, parts in [("InvalidPartOrder", done[::-1]), ("EntityTooSmall", done),
                        ("InvalidPart", [{**done[0], "ETag": '"0"'}]), ("InvalidPart", [{**done[0], "PartNumber": 9}])]:
        with refused(code):
            complete(parts)
    plain.put_object(Bucket="bucket", Key="k", Body=b"")
    with refused("PreconditionFailed"):
        complete(done[:1], IfNoneMatch="*")
    with refused("InvalidRequest"):
        complete(done[:1], MpuObjectSize=1)
    plain.delete_object(Bucket="bucket", Key="k")
    plain.abort_multipart_upload(Bucket="bucket", Key="k", UploadId=id)
    with refused("NoSuchUpload"):
        plain.abort_multipart_upload(Bucket="bucket", Key="k", UploadId=id)
    bucket = store.root / "bucket"
    assert [p for d in ("data", "uploads", "tmp", "records") for p in (bucket / d).rglob("*") if p.is_file()] == []


def test_parts_are_copied(plain):
    plain.put_object(Bucket="bucket", Key="source", Body=SMALL)
    id = plain.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    copied = plain.upload_part_copy(Bucket="bucket", Key="k", UploadId=id, PartNumber=1, CopySource="bucket/source", CopySourceRange="bytes=10-19")
    part = {"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}
    plain.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": [part]})
    assert plain.get_object(Bucket="bucket", Key="k")["Body"].read() == SMALL[10:20]


def test_the_aws_cli_moves_a_tree(store, s3, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub dir").mkdir(parents=True)
    (tree / "big").write_bytes(b"".join(PARTS) * 2)
    (tree / "sub dir" / "ünï+%.txt").write_bytes(b"x")
    (tree / "empty").write_bytes(b"")
    # `sync` compares mtimes with LastModified, which S3 gives in whole seconds: a file of this
    # very second would look newer than its object.
    an_hour_ago = time.time() - 3600
    for path in tree.rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))

    def aws(*arguments):
        return subprocess.run(["aws", "s3", *map(str, arguments)], env=store.environment(), check=True, capture_output=True, text=True, timeout=120).stdout

    aws("sync", tree, "s3://bucket/t/")
    assert aws("sync", tree, "s3://bucket/t/") == ""
    assert "ünï+%.txt" in aws("ls", "s3://bucket/t/sub dir/")
    aws("sync", "s3://bucket/t/", tmp_path / "back")
    assert subprocess.run(["diff", "-r", tree, tmp_path / "back"], check=False).returncode == 0
    aws("rm", "--recursive", "s3://bucket/")
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
