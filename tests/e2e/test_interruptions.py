"""Cancel, bandwidth limits, and processes that die in the middle."""

import os
import threading
import time
from typing import NamedTuple

import pytest
from world import tree
from world.expected import Snapshot, keys, open_uploads
from world.process import wait_until
from world.site import shown

MIB = 1024 * 1024
# 40 MiB in parts and 40 files of 256 KiB: 50 MiB take 12 s at this rate.
RATE = 4 * MIB
TOTAL = 50 * MIB


class Slow(NamedTuple):
    """A tree that takes a while at RATE, its bucket, its task."""

    source: bytes
    bucket: str
    task: str
    since_ns: int

    def snapshot(self):
        """The tree as it is now; the run may have seen the access times of any moment until now."""
        return Snapshot(self.source, since_ns=self.since_ns)


@pytest.fixture
def slow(site):
    since_ns = time.time_ns()
    source = site.source("slow")
    tree.big(source + b"/big", 40 * MIB)
    below = tree.directory(source + b"/small")
    for number in range(40):
        tree.write(below + b"/%02d" % number, tree.noise(number, 256 * 1024))
    bucket = site.bucket("slow")
    task = site.task(source, bucket, options={"BytesPerSecond": RATE})
    return Slow(source, bucket, task, since_ns)


def in_transfer(described):
    return described["Status"] == "TRANSFERRING" and described["BytesTransferred"] >= 2 * MIB


def test_cancel_in_the_middle_of_a_file(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    site.datasync.cancel_task_execution(TaskExecutionArn=execution)
    asked = time.monotonic()
    ended = site.wait_execution(execution, timeout=20)
    assert time.monotonic() - asked < 10
    assert ended["Status"] == "ERROR", shown(ended)
    assert ended["Result"]["ErrorCode"], ended["Result"]
    assert open_uploads(site.store.client, bucket) == []
    # Nothing half-visible: what is there is whole.
    whole = slow.snapshot()
    wrong = whole.differences(site.store.client, bucket)
    assert all(line.startswith("missing: ") for line in wrong), wrong
    assert wrong, "it was cancelled in the middle"
    site.run(task, options={"BytesPerSecond": -1})
    whole.assert_at(site.store.client, bucket)


def test_cancel_of_a_finished_execution_is_refused(site):
    source = site.source("done")
    task = site.task(source, site.bucket("done"), "p/")
    execution = site.run(task)["TaskExecutionArn"]
    with pytest.raises(site.datasync.exceptions.InvalidRequestException):
        site.datasync.cancel_task_execution(TaskExecutionArn=execution)


def test_bytes_per_second_is_an_upper_bound_in_every_window(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    samples = []
    while True:
        described = site.describe(execution)
        samples.append((time.monotonic(), described.get("BytesTransferred", 0)))
        if described["Status"] in ("SUCCESS", "ERROR"):
            break
        time.sleep(0.2)
    assert described["Status"] == "SUCCESS", shown(described)
    # A report may be late by its interval: so much may have been sent before the window began.
    report_seconds = 3
    for start, (began, before) in enumerate(samples):
        for now, after in samples[start + 1 :]:
            allowed = RATE * (now - began + report_seconds)
            assert after - before <= allowed, f"{after - before} bytes in {now - began:.1f} s"
    # The whole took at least what the limit demands.
    assert described["Result"]["TransferDuration"] >= (TOTAL / RATE - 1) * 1000, shown(described)


def test_the_limit_is_lifted_while_it_runs(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task, {"BytesPerSecond": 64 * 1024})
    site.wait_execution(execution, until=lambda d: d["Status"] == "TRANSFERRING")
    time.sleep(3)
    before = site.describe(execution)
    # 50 MiB at 64 KiB/s would take 13 minutes.
    assert before["BytesTransferred"] < 4 * MIB, shown(before)
    site.datasync.update_task_execution(
        TaskExecutionArn=execution, Options={"BytesPerSecond": -1}
    )
    ended = site.wait_execution(execution, timeout=60)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert ended["Options"]["BytesPerSecond"] == -1
    slow.snapshot().assert_at(site.store.client, bucket)


def test_a_limit_of_nothing_is_refused(site, slow):
    task = slow.task
    with pytest.raises(site.datasync.exceptions.InvalidRequestException):
        site.launch(task, {"BytesPerSecond": 0})


def test_the_agent_is_killed_and_started_again(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    site.agent.kill()
    time.sleep(1)
    site.agent.start()
    ended = site.wait_execution(execution, timeout=90)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, bucket)
    assert open_uploads(site.store.client, bucket) == []
    assert ended["FilesTransferred"] == len(slow.snapshot().entries), shown(ended)


def parts(s3, bucket):
    """Upload id of the large file, and number to ETag and date of its parts."""
    # The probe of a location that is opened has an upload, too.
    uploads = s3.list_multipart_uploads(Bucket=bucket, Prefix="big").get("Uploads", [])
    if not uploads:
        return None, {}
    upload = {"Key": uploads[0]["Key"], "UploadId": uploads[0]["UploadId"]}
    try:
        listed = s3.list_parts(Bucket=bucket, **upload).get("Parts", [])
    except s3.exceptions.NoSuchUpload:
        return None, {}
    return upload["UploadId"], {p["PartNumber"]: (p["ETag"], p["LastModified"]) for p in listed}


def test_a_large_file_goes_on_at_its_part_after_a_kill(site):
    since_ns = time.time_ns()
    source = site.source("parts")
    # 20 parts, of which 8 are on their way at once.
    tree.big(source + b"/big", 160 * MIB)
    bucket = site.bucket("parts")
    task = site.task(source, bucket, options={"BytesPerSecond": 16 * MIB})
    execution = site.launch(task)
    s3 = site.store.client
    wait_until("parts are there", lambda: len(parts(s3, bucket)[1]) >= 2, 60, 0.05)
    site.agent.kill()
    # What was wholly with the store's kernel may still arrive; dates are whole seconds.
    time.sleep(1.5)
    upload, there = parts(s3, bucket)
    assert 2 <= len(there) < 20, there
    site.agent.start()
    seen = there

    def ended():
        nonlocal seen
        now, listed = parts(s3, bucket)
        if now is not None:
            assert now == upload, "another upload was begun"
            assert listed.items() >= there.items(), "a part was sent again"
            seen = max(seen, listed, key=len)
        return site.describe(execution)["Status"] in ("SUCCESS", "ERROR")

    wait_until("the execution has ended", ended, 90, 0.1)
    assert len(seen) > len(there), "nobody looked while it went on"
    described = site.describe(execution)
    assert described["Status"] == "SUCCESS", shown(described)
    Snapshot(source, since_ns=since_ns).assert_at(s3, bucket)
    assert open_uploads(s3, bucket) == []


def test_the_agent_is_killed_again_and_again(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    for _ in range(4):
        time.sleep(1.5)
        site.agent.kill()
        site.agent.start()
    ended = site.wait_execution(execution, timeout=120)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, bucket)
    assert open_uploads(site.store.client, bucket) == []


def test_the_agent_is_stopped_cleanly_and_is_offline_at_once(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    assert site.agent.stop() == 0
    site.agent.wait_offline(site.datasync)
    site.agent.start()
    ended = site.wait_execution(execution, timeout=90)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, bucket)


def test_a_task_can_be_started_while_its_agent_is_being_restarted(site):
    since_ns = time.time_ns()
    source = site.source("restart")
    tree.write(source + b"/file", b"content")
    bucket = site.bucket("restart")
    task = site.task(source, bucket)
    assert site.agent.stop() == 0
    site.agent.wait_offline(site.datasync)
    execution = site.launch(task)
    time.sleep(3)
    assert site.describe(execution)["Status"] == "QUEUED"
    site.agent.start()
    ended = site.wait_execution(execution)
    assert ended["Status"] == "SUCCESS", shown(ended)
    Snapshot(source, since_ns=since_ns).assert_at(site.store.client, bucket)


def test_an_agent_that_is_gone_becomes_offline_by_its_lease(site):
    site.agent.kill()

    def offline():
        described = site.datasync.describe_agent(AgentArn=site.agent.arn)
        return described["Status"] == "OFFLINE"

    try:
        wait_until("the lease has run out", offline, 20)
    finally:
        site.agent.start()
        site.agent.wait_online(site.datasync)


def test_control_is_killed_and_started_again(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    site.control.server.kill()
    time.sleep(2)
    site.control.start()
    ended = site.wait_execution(execution, timeout=90)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, bucket)
    assert ended["FilesTransferred"] == len(slow.snapshot().entries), shown(ended)


def test_the_agent_finishes_while_control_is_away(site, slow):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    site.control.server.kill()
    wanted = set(slow.snapshot().entries)
    s3 = site.store.client
    try:
        wait_until("all arrived", lambda: set(keys(s3, bucket)) == wanted, 60, 0.5)
        time.sleep(2)
    finally:
        site.control.start()
    ended = site.wait_execution(execution, timeout=60)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(s3, bucket)


def test_what_control_acknowledged_survives_kill(site):
    source = site.source("durable")
    location = site.nfs_location(source)
    site.control.server.kill()
    site.control.start()
    described = site.datasync.describe_location_nfs(LocationArn=location)
    assert described["LocationUri"] == f"nfs://127.0.0.1{source.decode()}/"


def test_the_nfs_server_is_killed_and_started_again(site, slow, nfs):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    nfs.server.kill()
    time.sleep(1)
    nfs.start_server()
    ended = site.wait_execution(execution, timeout=120)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, bucket)


def test_the_store_is_killed_and_started_again(site, slow, store):
    source, bucket, task, _ = slow
    execution = site.launch(task)
    site.wait_execution(execution, until=in_transfer)
    store.stop()
    time.sleep(1)
    store.start()
    ended = site.wait_execution(execution, timeout=120)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(store.client, bucket)


def launch_until_big_is_read(site, slow, **options):
    """An execution that has sent some of the large file, and not yet all."""
    execution = site.launch(slow.task, options)
    site.wait_execution(execution, until=in_transfer)
    assert open_uploads(site.store.client, slow.bucket), "the large file is on its way"
    return execution


def test_a_file_overwritten_while_it_is_read_is_read_again(site, slow):
    execution = launch_until_big_is_read(site, slow)
    big = slow.source + b"/big"
    before = os.stat(big)
    with open(big, "r+b") as file:
        file.write(b"changed at the start while the middle is read")
    # Size and mtime are what they were: only the ctime tells.
    os.utime(big, ns=(before.st_atime_ns, before.st_mtime_ns))
    ended = site.wait_execution(execution, timeout=120)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, slow.bucket)


def test_a_file_that_grows_while_it_is_read_is_read_again(site, slow):
    execution = launch_until_big_is_read(site, slow)
    with open(slow.source + b"/big", "ab") as file:
        file.write(b"more")
    ended = site.wait_execution(execution, timeout=120)
    assert ended["Status"] == "SUCCESS", shown(ended)
    slow.snapshot().assert_at(site.store.client, slow.bucket)


def test_a_file_that_never_stops_changing_is_not_stored(site, slow):
    execution = launch_until_big_is_read(site, slow, BytesPerSecond=2 * RATE)
    over = threading.Event()

    def change():
        with open(slow.source + b"/big", "r+b", buffering=0) as file:
            while not over.wait(0.02):
                os.pwrite(file.fileno(), os.urandom(8), 0)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        ended = site.wait_execution(execution, timeout=120)
    finally:
        over.set()
        changing.join()
    assert ended["Status"] == "ERROR", shown(ended)
    assert "big" in ended["Result"]["ErrorDetail"], ended["Result"]
    assert "changed" in ended["Result"]["ErrorDetail"], ended["Result"]
    assert slow.snapshot().differences(site.store.client, slow.bucket) == ["missing: 'big'"]
    assert open_uploads(site.store.client, slow.bucket) == []
