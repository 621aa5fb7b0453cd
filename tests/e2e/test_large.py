"""What takes minutes: files and objects of several gigabytes and fifty thousand small files."""

import pytest
from test_from_s3 import task_between
from test_tree import copy_twice
from world import tree
from world.expected import open_uploads
from world.process import wait_until
from world.site import shown

MIB = 1024**2
GIB = 1024**3
pytestmark = [pytest.mark.large, pytest.mark.timeout(3000)]


def test_a_file_of_several_gibibytes(site):
    source = site.source("gigabytes")
    tree.big(source + b"/big", 5 * GIB + 1)
    copy_twice(site, source, timeout=1200)


def test_fifty_thousand_small_files(site):
    source = site.source("fifty-thousand")
    tree.many(source, 50_000)
    copy_twice(site, source, timeout=1200)


def made_of(client, bucket, key, pieces, **more):
    """An object of other objects of the bucket, which the store puts together."""
    proven = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, **proven, **more)
    to = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
    parts = []
    for number, piece in enumerate(pieces, 1):
        told = client.upload_part_copy(
            PartNumber=number, CopySource={"Bucket": bucket, "Key": piece}, **to
        )["CopyPartResult"]
        sum_of_part = {"ChecksumCRC64NVME": told["ChecksumCRC64NVME"]}
        parts.append({"PartNumber": number, "ETag": told["ETag"]} | sum_of_part)
    client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **to)


def about(client, bucket, key):
    head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    names = ("ContentLength", "ContentType", "Metadata", "ChecksumCRC64NVME", "ChecksumType")
    return [head[name] for name in names], tags


@pytest.mark.parametrize("killed", [False, True], ids=["at once", "killed in the middle"])
def test_the_store_itself_copies_an_object_above_5_gib(site, store, killed):
    client, source, destination = store.client, site.bucket("huge"), site.bucket("huge-to")
    client.put_object(Bucket=source, Key="pieces/1", Body=tree.noise("huge", 64 * MIB))
    client.put_object(Bucket=source, Key="pieces/end", Body=b"end")
    made_of(client, source, "pieces/2", ["pieces/1"] * 16)
    described = {"ContentType": "video/mp4", "Metadata": {"reel": "1"}, "Tagging": "kind=film"}
    made_of(client, source, "in/huge", [*["pieces/2"] * 5, "pieces/end"], **described)
    task = task_between(
        site, source, destination, ("in/", ""), {"VerifyMode": "ONLY_FILES_TRANSFERRED"}
    )
    execution = site.launch(task)
    if killed:
        wait_until("it is on its way", lambda: open_uploads(client, destination), 120)
        site.agent.kill()
        site.agent.start()
    ended = site.wait_execution(execution, 1200)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert ended["BytesTransferred"] < MIB, shown(ended)
    assert about(client, destination, "huge") == about(client, source, "in/huge")
    assert open_uploads(client, destination) == []
