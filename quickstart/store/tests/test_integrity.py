"""Checksums: verified, kept, returned; a wrong one leaves nothing behind."""

import hashlib
import re
import socket

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import checksums
from store import ACCESS_KEY, REGION, SECRET_KEY, Store

BODY = b"the quick brown fox" * 1000
SUMS = {
    "ChecksumCRC64NVME": checksums.crc64nvme, "ChecksumCRC32": checksums.crc32,
    "ChecksumSHA256": checksums.sha256, "ChecksumSHA1": checksums.sha1,
}


def refused(code):
    return pytest.raises(ClientError, match=rf"\({code}\)")


def absent(s3, key):
    with refused("404"):
        s3.head_object(Bucket="bucket", Key=key)
    return True


@pytest.mark.parametrize("name", SUMS)
def test_a_right_checksum_is_kept_and_a_wrong_one_refused(s3, name):
    right, wrong = SUMS[name](BODY), SUMS[name](BODY + b".")
    put = s3.put_object(Bucket="bucket", Key="k", Body=BODY, **{name: right})
    head = s3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
    assert put[name] == head[name] == right and head["ChecksumType"] == "FULL_OBJECT"
    assert name not in s3.head_object(Bucket="bucket", Key="k")
    with refused("BadDigest"):
        s3.put_object(Bucket="bucket", Key="wrong", Body=BODY, **{name: wrong})
    assert absent(s3, "wrong")
    with refused("BadDigest"):
        s3.put_object(Bucket="bucket", Key="k", Body=b"other", **{name: wrong})
    assert s3.get_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")["Body"].read() == BODY
    with refused("InvalidRequest"):
        s3.put_object(Bucket="bucket", Key="k", Body=BODY, **{name: "AAAA"})


def test_crc64nvme_is_computed_if_nothing_was_sent(store, s3):
    plain = store.client(request_checksum_calculation="when_required")
    plain.put_object(Bucket="bucket", Key="k", Body=BODY)
    head = s3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == checksums.crc64nvme(BODY)
    listed = s3.list_objects_v2(Bucket="bucket")["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (["CRC64NVME"], "FULL_OBJECT")


def test_content_md5(store, s3):
    plain = store.client(request_checksum_calculation="when_required")
    plain.put_object(Bucket="bucket", Key="k", Body=BODY, ContentMD5=checksums.md5(BODY))
    with refused("BadDigest"):
        plain.put_object(Bucket="bucket", Key="wrong", Body=BODY, ContentMD5=checksums.md5(b""))
    with refused("InvalidDigest"):
        plain.put_object(Bucket="bucket", Key="wrong", Body=BODY, ContentMD5="AAAA")
    assert absent(s3, "wrong")


def raw_put(store, key, body, headers, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"):
    """One signed PUT, written to a socket as it is; returns status and head."""
    host = store.endpoint.removeprefix("http://")
    request = AWSRequest("PUT", f"{store.endpoint}/bucket/{key}", headers={"Host": host, **headers})
    request.headers["X-Amz-Content-SHA256"] = payload
    request.context["payload_signing_enabled"] = False
    signer = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
    signer.payload = lambda _: payload
    signer.add_auth(request)
    lines = [f"PUT /bucket/{key} HTTP/1.1"] + [f"{k}: {v}" for k, v in request.headers.items()]
    with socket.create_connection(host.split(":")) as connection:
        connection.settimeout(20)
        connection.sendall("\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n" + body)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    return int(reply.split()[1]), reply.decode()


def chunked(body, trailer):
    middle = len(body) // 2
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:middle], body[middle:]))
    return pieces + b"0\r\n" + trailer.encode() + b"\r\n\r\n"


@pytest.mark.parametrize("algorithm, compute", [("crc64nvme", checksums.crc64nvme), ("crc32", checksums.crc32), ("sha256", checksums.sha256)])
def test_trailers_are_verified(store, s3, algorithm, compute):
    name = f"x-amz-checksum-{algorithm}"
    for key, summed in [("right", BODY), ("wrong", b"")]:
        body = chunked(BODY, f"{name}:{compute(summed)}")
        status, reply = raw_put(store, key, body, {
            "Content-Encoding": "aws-chunked", "X-Amz-Trailer": name, "Content-Length": str(len(body)),
            "X-Amz-Decoded-Content-Length": str(len(BODY))})
        if key == "right":
            assert status == 200, reply
        else:
            assert status == 400 and "BadDigest" in reply
    head = s3.head_object(Bucket="bucket", Key="right", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm.upper()}"] == compute(BODY)
    assert "ContentEncoding" not in head and head["ContentLength"] == len(BODY)
    assert absent(s3, "wrong")


def test_a_promised_checksum_must_come(store, s3):
    status, reply = raw_put(store, "k", BODY, {
        "Content-Length": str(len(BODY)), "X-Amz-Sdk-Checksum-Algorithm": "CRC64NVME"}, "UNSIGNED-PAYLOAD")
    assert status == 400 and "x-amz-sdk-checksum-algorithm specified" in reply
    assert absent(s3, "k")


def test_a_body_cut_short_or_changed_leaves_nothing(store, s3):
    digest = hashlib.sha256(BODY).hexdigest()
    status, reply = raw_put(store, "changed", BODY[:-1] + b"!", {"Content-Length": str(len(BODY))}, digest)
    assert status == 400 and "XAmzContentSHA256Mismatch" in reply
    body = chunked(BODY, "x-amz-checksum-crc32:" + checksums.crc32(BODY))
    status, reply = raw_put(store, "short", body, {
        "Content-Encoding": "aws-chunked", "X-Amz-Trailer": "x-amz-checksum-crc32", "Content-Length": str(len(body)),
        "X-Amz-Decoded-Content-Length": str(len(BODY) + 1)})
    assert status == 400, reply
    assert absent(s3, "changed") and absent(s3, "short")
    contents = [p for p in (store.root / "bucket" / "data").rglob("*") if p.is_file()]
    assert contents == []


def test_a_store_before_crc64nvme_is_imitated(tmp_path):
    store = Store(tmp_path / "store", "--integrity", "no-crc64-nvme")
    try:
        s3 = store.client(request_checksum_calculation="when_required")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="bucket", Key="k", Body=BODY, ChecksumCRC64NVME=checksums.crc64nvme(b""))
        head = s3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
        assert not [name for name in head if re.match("Checksum", name)]
        with refused("BadDigest"):
            s3.put_object(Bucket="bucket", Key="k", Body=BODY, ChecksumSHA256=checksums.sha256(b""))
        s3.put_object(Bucket="bucket", Key="k", Body=BODY, ChecksumSHA256=checksums.sha256(BODY))
        head = s3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
        assert head["ChecksumSHA256"] == checksums.sha256(BODY)
        with refused("InvalidRequest"):
            s3.create_multipart_upload(Bucket="bucket", Key="k", ChecksumAlgorithm="CRC64NVME")
    finally:
        assert store.stop() == 0


def test_older_stores_are_imitated(tmp_path):
    wrong = checksums.crc64nvme(b"")
    for level, md5_counts in [("md5-only", True), ("none", False)]:
        store = Store(tmp_path / level, "--integrity", level)
        try:
            s3 = store.client(request_checksum_calculation="when_required")
            s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
            put = s3.put_object(Bucket="bucket", Key="k", Body=BODY, ChecksumCRC64NVME=wrong)
            head = s3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
            assert not [name for name in (*put, *head) if re.match("Checksum", name)]
            if md5_counts:
                with refused("BadDigest"):
                    s3.put_object(Bucket="bucket", Key="k", Body=BODY, ContentMD5=checksums.md5(b""))
            else:
                s3.put_object(Bucket="bucket", Key="k", Body=BODY, ContentMD5=checksums.md5(b""))
        finally:
            assert store.stop() == 0
