"""Every byte and every metadata key of odd trees, and a second run that transfers nothing."""

import os
import time

import pytest
from world import tree
from world.expected import Snapshot, open_uploads, versions
from world.site import shown

SMALL_FILES = 5_000
MIB = 1024 * 1024


def copy_twice(site, source, prefix="", special=(), timeout=240, **options):
    """Copies, compares everything, copies again: nothing may move."""
    bucket = site.bucket("tree")
    snapshot = Snapshot(source, prefix)
    assert sorted(snapshot.special) == sorted(special)
    task = site.task(source, bucket, prefix, options)
    first = site.run(task, timeout)
    snapshot.assert_at(site.store.client, bucket)
    assert first["FilesTransferred"] == len(snapshot.entries), shown(first)
    assert first["BytesWritten"] == sum(entry.size for entry in snapshot.entries.values())
    assert open_uploads(site.store.client, bucket) == []
    before = versions(site.store.client, bucket)
    second = site.run(task, timeout)
    assert (second["FilesTransferred"], second["BytesWritten"]) == (0, 0), shown(second)
    assert versions(site.store.client, bucket) == before
    return first, second


def test_odd_names_arrive_under_the_documented_keys(site):
    source = site.source("odd-names")
    tree.odd_names(source)
    copy_twice(site, source)


def test_odd_names_arrive_below_a_prefix(site):
    source = site.source("odd-names")
    tree.odd_names(source)
    copy_twice(site, source, prefix="deep/er prefix+/")


def test_names_around_a_directory_s_name_do_not_confuse_the_comparison(site):
    source = site.source("neighbours")
    tree.neighbours(source)
    copy_twice(site, source)


def test_every_kind_of_entry_and_a_fifo_that_is_reported(site):
    source = site.source("kinds")
    special = tree.kinds(source + b"/kinds")
    first, _ = copy_twice(site, source, special=special)
    assert first["FilesSkipped"] == len(special), shown(first)
    execution = first["TaskExecutionArn"].rpartition("/")[2]
    listed = (site.agent.state / "failures" / f"{execution}.jsonl").read_text()
    assert "/kinds/fifo" in listed, listed


def test_sizes_around_parts(site):
    source = site.source("sizes")
    tree.sizes(source)
    copy_twice(site, source)


def test_an_empty_source_is_copied(site):
    copy_twice(site, site.source("empty"), prefix="p/")


def test_thousands_of_small_files(site):
    source = site.source("many")
    tree.many(source, SMALL_FILES)
    copy_twice(site, source)


def test_a_file_of_several_hundred_mebibytes(site):
    source = site.source("big")
    tree.big(source + b"/big", 300 * MIB + 12345)
    copy_twice(site, source)


@pytest.mark.parametrize(
    "verify", ["POINT_IN_TIME_CONSISTENT", "ONLY_FILES_TRANSFERRED", "NONE"]
)
def test_every_verify_mode(site, verify):
    source = site.source("verify")
    tree.neighbours(source)
    tree.write(source + b"/two parts", tree.noise("verify", tree.PART + 1))
    first, second = copy_twice(site, source, VerifyMode=verify)
    if verify == "NONE":
        assert first["FilesVerified"] == 0, shown(first)
    else:
        assert first["FilesVerified"] == first["FilesTransferred"], shown(first)
    if verify == "POINT_IN_TIME_CONSISTENT":
        assert second["FilesVerified"] == first["FilesVerified"], shown(second)


def test_transfer_mode_all_writes_everything_again(site):
    source = site.source("all")
    tree.neighbours(source)
    bucket = site.bucket("all")
    since_ns = time.time_ns()
    task = site.task(source, bucket, options={"TransferMode": "ALL"})
    first = site.run(task)
    second = site.run(task)
    assert second["FilesTransferred"] == first["FilesTransferred"] > 0, shown(second)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)


def test_metadata_that_the_options_drop_is_absent(site):
    source = site.source("no-metadata")
    tree.write(source + b"/file", b"content")
    bucket = site.bucket("no-metadata")
    options = {"Uid": "NONE", "Gid": "NONE", "PosixPermissions": "NONE"}
    options |= {"Mtime": "NONE", "Atime": "NONE"}
    site.run(site.task(source, bucket, options=options))
    head = site.store.client.head_object(Bucket=bucket, Key="file")
    assert head["Metadata"] == {"user-agent": "aws-datasync"}
    assert head["ContentLength"] == 7


def test_a_key_longer_than_stores_allow_is_reported_and_the_rest_arrives(site):
    source = site.source("long")
    deep = tree.directory(source + b"/".join([b""] + [b"d" * 200] * 5))
    tree.write(deep + b"/" + b"f" * 200, b"its key has more than 1024 bytes")
    tree.write(source + b"/short", b"arrives")
    bucket = site.bucket("long")
    # Listing and reading set times of access.
    without = [deep + b"/" + b"f" * 200]
    snapshot = Snapshot(source, without=without)
    ended = site.run(site.task(source, bucket), status="ERROR")
    assert "1 " in ended["Result"]["ErrorDetail"], ended["Result"]
    assert "fff" in ended["Result"]["ErrorDetail"], ended["Result"]
    snapshot.assert_at(site.store.client, bucket)


def test_names_that_are_not_utf_8_are_refused_where_that_is_asked_for(site):
    source = site.source("names-refused")
    odd = [b"caf\xe9", b"\xf0\x9f"]
    for name in odd:
        tree.write(source + b"/" + name, b"content")
    tree.write(tree.directory(source + b"/d\xff") + b"/below", b"content")
    tree.write(source + b"/plain", b"content")
    bucket = site.bucket("names-refused")
    refused = [source + b"/" + name for name in [*odd, b"d\xff"]]
    snapshot = Snapshot(source, without=refused)
    tags = [{"Key": "datasync:name-encoding", "Value": "REFUSE"}]
    ended = site.run(site.task(source, bucket, Tags=tags), status="ERROR")
    assert "4 " in ended["Result"]["ErrorDetail"], ended["Result"]
    assert "KeyNotAllowed" in ended["Result"]["ErrorDetail"], ended["Result"]
    snapshot.assert_at(site.store.client, bucket)
    site.run(site.task(source, bucket))
    Snapshot(source, since_ns=snapshot.since_ns).assert_at(site.store.client, bucket)


def test_hard_links_become_objects_of_their_own(site):
    source = site.source("links")
    tree.write(source + b"/one", b"shared")
    os.link(source + b"/one", source + b"/two")
    bucket = site.bucket("links")
    site.run(site.task(source, bucket))
    bodies = [
        site.store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in ("one", "two")
    ]
    assert bodies == [b"shared", b"shared"]
