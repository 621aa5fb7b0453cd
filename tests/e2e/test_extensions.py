"""What tags ask for beyond DataSync's options."""

import os
import time

import pytest
from botocore.exceptions import ClientError
from world import tree
from world.expected import keys, versions
from world.site import shown

MIB = 1024 * 1024
DRY = [{"Key": "datasync:dry-run", "Value": "true"}]


def test_a_dry_run_counts_and_writes_nothing(site, store):
    source, bucket = site.source("dry"), site.bucket("dry")
    tree.write(source + b"/file", b"content")
    tree.write(tree.directory(source + b"/d") + b"/other", b"more content")
    task = site.task(source, bucket)
    planned = site.run(task, Tags=DRY)
    assert keys(store.client, bucket) == []
    assert planned["EstimatedBytesToTransfer"] == 19, shown(planned)
    assert planned["EstimatedFilesToTransfer"] == 3, shown(planned)
    assert (planned["FilesTransferred"], planned["BytesWritten"]) == (0, 0), shown(planned)
    assert "ErrorDetail" not in planned["Result"], shown(planned)
    done = site.run(task)
    assert done["FilesTransferred"] == 3, shown(done)


def test_deletes_are_told_and_not_done(site, store):
    source, bucket = site.source("dry-deletes"), site.bucket("dry-deletes")
    tree.write(source + b"/file", b"content")
    tree.write(source + b"/other", b"content")
    task = site.task(source, bucket, options={"PreserveDeletedFiles": "REMOVE"})
    site.run(task)
    before = versions(store.client, bucket)
    os.unlink(source + b"/file")
    planned = site.run(task, Tags=DRY)
    assert (planned["EstimatedFilesToDelete"], planned["FilesDeleted"]) == (1, 0), shown(planned)
    assert versions(store.client, bucket) == before
    assert site.run(task)["FilesDeleted"] == 1


def test_deep_verification_finds_what_a_listing_does_not_show(site):
    source, bucket = site.source("deep"), site.bucket("deep")
    tree.write(source + b"/file", b"content")
    tags = [{"Key": "datasync:verify", "Value": "deep"}]
    options = {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}
    task = site.task(source, bucket, options=options, Tags=tags)
    for _ in range(2):
        described = site.run(task)
        assert described["FilesVerified"] == 1, shown(described)


def timetable(value):
    return [{"Key": "datasync:bandwidth-timetable", "Value": value}]


def test_a_timetable_limits_and_is_overridden(site):
    """The agent goes by it: the option says no limit, and 8 MiB at 16 KiB/s would take 8 minutes."""
    source, bucket = site.source("timetable"), site.bucket("timetable")
    tree.big(source + b"/file", 8 * MIB)
    task = site.task(source, bucket, Tags=timetable("Europe/Berlin Mon-Sat 16KiB / Sun 16384"))
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["Status"] == "TRANSFERRING")
    time.sleep(3)
    described = site.describe(execution)
    assert described["BytesTransferred"] < MIB, shown(described)
    assert described["Options"]["BytesPerSecond"] == 16 * 1024
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": -1}
    )
    ended = site.wait_execution(execution, timeout=60)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert ended["Options"]["BytesPerSecond"] == -1


def test_a_timetable_lifts_the_limit_of_the_option(site):
    source, bucket = site.source("timetable-lifts"), site.bucket("timetable-lifts")
    tree.big(source + b"/file", 8 * MIB)
    task = site.task(source, bucket, options={"BytesPerSecond": 16 * 1024})
    described = site.run(task, timeout=60, Tags=timetable("UTC unlimited"))
    assert described["BytesTransferred"] == 8 * MIB, shown(described)


@pytest.mark.parametrize(
    "tag", [("datasync:dry-run", "yes"), ("datasync:dryrun", "true"), ("datasync:verify", "deep")]
)
def test_what_is_not_understood_is_refused(site, tag):
    name = tag[0].replace(":", "-")
    source, bucket = site.source(name), site.bucket(name)
    task = site.task(source, bucket, options={"VerifyMode": "NONE"})
    with pytest.raises(ClientError) as refused:
        site.launch(task, Tags=[{"Key": tag[0], "Value": tag[1]}])
    assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
