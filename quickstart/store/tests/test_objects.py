"""Objects through boto3: content, metadata, keys, ranges, conditions, copies, tags."""

import hashlib
import io
import signal
import urllib.request

import pytest
from botocore.exceptions import ClientError

ODD_KEYS = [
    "a", "a/", "a/b", "a-b", "a.txt", "a/b/c", "with space", "plus+percent%41", "qu?ery#frag&amp;",
    "back\\slash", "new\nline", "cr\rline", "tab\t", "\x01control", "\ufffe", "\U0010ffff", "é", "e\u0301",
    "日本語/ファイル", "/leading", "//two", "a//b", "x/../y", "./dot", "..", ".", "dir/" * 50,
    "k" * 1024, "é" * 512, "'quote\"", "*star", "<xml>&", "~tilde", "a=b;c", "trailing ", " leading",
]


def refused(code):
    return pytest.raises(ClientError, match=rf"\({code}\)")


def listing(s3, **arguments):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", **arguments)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_any_key_is_stored_and_listed_in_byte_order(store, s3):
    for key in ODD_KEYS:
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    expected = sorted(ODD_KEYS, key=str.encode)
    assert listing(s3) == expected
    assert listing(s3, PaginationConfig={"PageSize": 1}) == expected
    for key in ODD_KEYS:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == key.encode()
    store.stop(signal.SIGKILL)
    store.start()
    s3 = store.client()
    assert listing(s3) == expected
    assert s3.get_object(Bucket="bucket", Key="\x01control")["Body"].read() == b"\x01control"
    deleted = s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": k} for k in ["a", "é"]]})
    assert {d["Key"] for d in deleted["Deleted"]} == {"a", "é"}
    s3.delete_object(Bucket="bucket", Key="a/b")
    assert listing(s3) == [k for k in expected if k not in ("a", "é", "a/b")]


def test_a_key_of_more_than_1024_bytes_is_refused(s3):
    with refused("KeyTooLongError"):
        s3.put_object(Bucket="bucket", Key="k" * 1025, Body=b"")


def test_metadata_and_headers_come_back(s3):
    metadata = {"file-owner": "1000", "file-mtime": "1700000000123456789ns", "empty": ""}
    put = s3.put_object(
        Bucket="bucket", Key="k", Body=b"hello", Metadata=metadata, ContentType="text/plain",
        CacheControl="no-store", ContentDisposition="inline", ContentLanguage="de",
        ContentEncoding="gzip", StorageClass="STANDARD_IA", Tagging="a=1&b=x%20y")
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    head = s3.head_object(Bucket="bucket", Key="k")
    assert head["Metadata"] == metadata
    assert (head["ContentType"], head["CacheControl"], head["ContentDisposition"]) == ("text/plain", "no-store", "inline")
    assert (head["ContentLanguage"], head["ContentEncoding"]) == ("de", "gzip")
    assert (head["StorageClass"], head["ContentLength"]) == ("STANDARD_IA", 5)
    assert s3.list_objects_v2(Bucket="bucket")["Contents"][0]["StorageClass"] == "STANDARD_IA"
    tags = s3.get_object_tagging(Bucket="bucket", Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
    s3.put_object(Bucket="bucket", Key="plain", Body=b"")
    plain = s3.head_object(Bucket="bucket", Key="plain")
    assert plain["ContentType"] == "binary/octet-stream" and "StorageClass" not in plain
    with refused("InvalidStorageClass"):
        s3.put_object(Bucket="bucket", Key="k", Body=b"", StorageClass="COLD")
    with refused("MetadataTooLarge"):
        s3.put_object(Bucket="bucket", Key="k", Body=b"", Metadata={"m": "x" * 2048})


def test_empty_bodies_from_files_do_not_confuse_the_connection(s3):
    for number in range(5):
        s3.put_object(Bucket="bucket", Key=f"empty-{number}", Body=io.BytesIO(b""))
        assert s3.head_object(Bucket="bucket", Key=f"empty-{number}")["ContentLength"] == 0


def test_ranges(s3):
    s3.put_object(Bucket="bucket", Key="k", Body=bytes(range(100)))
    for header, expected in [("bytes=0-9", range(10)), ("bytes=90-200", range(90, 100)),
                             ("bytes=-5", range(95, 100)), ("bytes=50-", range(50, 100))]:
        got = s3.get_object(Bucket="bucket", Key="k", Range=header)
        assert got["Body"].read() == bytes(expected)
        assert got["ContentRange"] == f"bytes {expected[0]}-{expected[-1]}/100"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    with refused("InvalidRange"):
        s3.get_object(Bucket="bucket", Key="k", Range="bytes=100-")


def test_conditions(s3):
    etag = s3.put_object(Bucket="bucket", Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed"):
        s3.put_object(Bucket="bucket", Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket="bucket", Key="k", Body=b"2", IfMatch='"0"')
    with refused("NoSuchKey"):
        s3.put_object(Bucket="bucket", Key="absent", Body=b"2", IfMatch=etag)
    newer = s3.put_object(Bucket="bucket", Key="k", Body=b"3", IfMatch=etag)["ETag"]
    with refused("PreconditionFailed"):
        s3.get_object(Bucket="bucket", Key="k", IfMatch=etag)
    with refused("304"):
        s3.head_object(Bucket="bucket", Key="k", IfNoneMatch=newer)
    with refused("PreconditionFailed"):
        s3.delete_object(Bucket="bucket", Key="k", IfMatch=etag)
    s3.delete_object(Bucket="bucket", Key="k", IfMatch=newer)
    assert listing(s3) == []


def test_copies(s3):
    s3.put_object(Bucket="bucket", Key="from", Body=b"data", Metadata={"m": "1"}, Tagging="t=1", StorageClass="STANDARD_IA")
    source = {"Bucket": "bucket", "Key": "from"}
    with refused("InvalidRequest"):
        s3.copy_object(Bucket="bucket", Key="from", CopySource=source)
    s3.copy_object(Bucket="bucket", Key="to é+", CopySource=source)
    copy = s3.head_object(Bucket="bucket", Key="to é+", ChecksumMode="ENABLED")
    assert copy["Metadata"] == {"m": "1"} and "StorageClass" not in copy
    original = s3.head_object(Bucket="bucket", Key="from", ChecksumMode="ENABLED")
    assert (copy["ETag"], copy["ChecksumCRC32"]) == (original["ETag"], original["ChecksumCRC32"])
    with refused("PreconditionFailed"):
        s3.copy_object(Bucket="bucket", Key="to", CopySource=source, CopySourceIfMatch='"0"')
    s3.copy_object(Bucket="bucket", Key="from", CopySource=source, MetadataDirective="REPLACE",
                   Metadata={"n": "2"}, CopySourceIfMatch=original["ETag"], StorageClass="STANDARD_IA")
    replaced = s3.head_object(Bucket="bucket", Key="from")
    assert replaced["Metadata"] == {"n": "2"} and replaced["ETag"] == original["ETag"]
    assert s3.get_object_tagging(Bucket="bucket", Key="from")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert s3.get_object(Bucket="bucket", Key="from")["Body"].read() == b"data"
    s3.delete_object(Bucket="bucket", Key="from")
    assert s3.get_object(Bucket="bucket", Key="to é+")["Body"].read() == b"data"
    with refused("NoSuchKey"):
        s3.copy_object(Bucket="bucket", Key="to", CopySource=source)


def test_tags_are_replaced_and_removed(s3):
    s3.put_object(Bucket="bucket", Key="k", Body=b"data")
    s3.put_object_tagging(Bucket="bucket", Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert s3.get_object_tagging(Bucket="bucket", Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    s3.delete_object_tagging(Bucket="bucket", Key="k")
    assert s3.get_object_tagging(Bucket="bucket", Key="k")["TagSet"] == []
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"data"
    with refused("InvalidTag"):
        s3.put_object_tagging(Bucket="bucket", Key="k", Tagging={"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]})


def test_listing_options(s3):
    for key in ["a", "b/1", "b/2", "c/1/x", "d"]:
        s3.put_object(Bucket="bucket", Key=key, Body=b"")
    page = s3.list_objects_v2(Bucket="bucket", Delimiter="/", MaxKeys=2)
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["b/"]
    assert (page["KeyCount"], page["IsTruncated"]) == (2, True)
    rest = s3.list_objects_v2(Bucket="bucket", Delimiter="/", ContinuationToken=page["NextContinuationToken"])
    assert [p["Prefix"] for p in rest["CommonPrefixes"]] == ["c/"]
    assert [o["Key"] for o in rest["Contents"]] == ["d"] and not rest["IsTruncated"]
    assert listing(s3, StartAfter="b/1") == ["b/2", "c/1/x", "d"]
    assert listing(s3, Prefix="b/") == ["b/1", "b/2"]
    empty = s3.list_objects_v2(Bucket="bucket", MaxKeys=0)
    assert (empty["KeyCount"], empty["IsTruncated"]) == (0, False)
    pages = s3.get_paginator("list_objects").paginate(Bucket="bucket", PaginationConfig={"PageSize": 2})
    assert [o["Key"] for page in pages for o in page["Contents"]] == ["a", "b/1", "b/2", "c/1/x", "d"]
    pages = s3.get_paginator("list_objects").paginate(Bucket="bucket", Delimiter="/", PaginationConfig={"PageSize": 1})
    names = [n for page in pages for n in [o["Key"] for o in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])]]
    assert names == ["a", "b/", "c/", "d"]
    with refused("InvalidArgument"):
        s3.list_objects_v2(Bucket="bucket", ContinuationToken="!")


def test_buckets(store, s3):
    head = s3.head_bucket(Bucket="bucket")
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-central-1"
    assert s3.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-central-1"
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["bucket"]
    with refused("BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with refused("404"):
        s3.head_bucket(Bucket="absent")
    with refused("NoSuchBucket"):
        s3.put_object(Bucket="absent", Key="k", Body=b"")
    s3.put_object(Bucket="bucket", Key="k", Body=b"")
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket="bucket")
    s3.delete_object(Bucket="bucket", Key="k")
    s3.delete_bucket(Bucket="bucket")
    assert s3.list_buckets()["Buckets"] == []


def test_strangers_are_refused(store, s3):
    with refused("SignatureDoesNotMatch"):
        store.client(secret_key="wrong").put_object(Bucket="bucket", Key="k", Body=b"")
    with refused("InvalidAccessKeyId"):
        store.client(access_key="AKIDUNKNOWN").put_object(Bucket="bucket", Key="k", Body=b"")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{store.endpoint}/bucket/k")
    assert listing(s3) == []


def test_refusals_do_not_confuse_the_connection(s3):
    s3.put_object(Bucket="bucket", Key="there", Body=b"0")
    for number in range(100):
        with refused("PreconditionFailed"):
            s3.put_object(Bucket="bucket", Key="there", Body=b"x" * (number * 3000), IfNoneMatch="*")
        body = b"%d" % number
        s3.put_object(Bucket="bucket", Key=f"k{number}", Body=body, IfNoneMatch="*")
        assert s3.get_object(Bucket="bucket", Key=f"k{number}")["Body"].read() == body
