"""Task reports: what an execution did, as JSON objects in a bucket of its own."""

import json
import os
import re

import pytest
from botocore.exceptions import ClientError
from world import tree
from world.expected import keys
from world.secrets import remember
from world.site import ROLE, shown

KIB = 1024
MIB = 1024 * KIB
REPORTS = "reports"
ALL = {"OutputType": "STANDARD", "ReportLevel": "SUCCESSES_AND_ERRORS"}
DETAILED = re.compile(
    r"Detailed-Reports/(task-[0-9a-f]{17})/(exec-[0-9a-f]{17})/\2"
    r"\.files-(transferred|verified|skipped|deleted)-v1-(\d{5})-[0-9a-f]{17}\.json"
)


@pytest.fixture(scope="module", autouse=True)
def role(site, store):
    """The role of the reports' bucket lives at our store."""
    arguments = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    arguments += ["--endpoint", store.endpoint]
    site.control.cli(*arguments, text_in=store.secret_key + "\n")
    store.client.create_bucket(Bucket=REPORTS)


def config(subdirectory, role=ROLE, bucket=REPORTS, **more):
    place = {
        "Subdirectory": subdirectory,
        "S3BucketArn": f"arn:aws:s3:::{bucket}",
        "BucketAccessRoleArn": role,
    }
    return {"Destination": {"S3": place}} | more


class Report:
    """The objects of one execution's report."""

    def __init__(self, store, subdirectory, execution):
        self.execution = execution.rsplit("/", 1)[1]
        self.task = execution.split("/")[1]
        self.entries = {"transferred": [], "verified": [], "skipped": [], "deleted": []}
        self.summaries, self.objects = [], 0
        for key in keys(store.client, REPORTS):
            if not key.startswith(f"{subdirectory}/") or f"/{self.execution}/" not in key:
                continue
            body = store.client.get_object(Bucket=REPORTS, Key=key)["Body"].read()
            self._take(key.removeprefix(f"{subdirectory}/"), json.loads(body))

    def _take(self, key, document):
        assert document["TaskExecutionId"] == self.execution
        if key.startswith(f"Summary-Reports/{self.task}/{self.execution}/"):
            self.summaries.append(document)
            return
        found = DETAILED.fullmatch(key)
        assert found and found.group(1, 2) == (self.task, self.execution), key
        kind = found.group(3)
        assert list(document) == ["TaskExecutionId", kind.capitalize()], key
        self.entries[kind] += document[kind.capitalize()]
        self.objects += 1

    def paths(self, kind, **wanted):
        """The paths of the entries with these members, sorted."""
        entries = self.entries[kind]
        found = [e for e in entries if all(e.get(name) == wanted[name] for name in wanted)]
        return sorted(entry["RelativePath"] for entry in found)

    def entry(self, kind, path):
        found = [entry for entry in self.entries[kind] if entry["RelativePath"] == path]
        assert len(found) == 1, (kind, path, found)
        return found[0]

    @property
    def summary(self):
        assert len(self.summaries) == 1
        return self.summaries[0]


@pytest.fixture
def source(site):
    path = site.source("report")
    below = tree.directory(path + b"/d")
    for name in (b"one", b"two", "caf\u00e9".encode(), b"caf\xe9", b'say "hi"'):
        tree.write(below + b"/" + name, name)
    os.symlink(b"d", path + b"/link")
    os.mkfifo(path + b"/fifo")
    return path


FILES = ["/d/caf\u00e9", "/d/caf\U0010f7e9", "/d/one", '/d/say "hi"', "/d/two"]


def refused(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidRequestException", error
    return error["Message"]


@pytest.mark.parametrize("verify", ["ONLY_FILES_TRANSFERRED", "POINT_IN_TIME_CONSISTENT"])
def test_everything_that_was_done_is_told_once(site, store, source, verify):
    bucket, asked = site.bucket("report"), config("all", **ALL)
    options = {"VerifyMode": verify}
    task = site.task(source, bucket, options=options, TaskReportConfig=asked)
    assert site.datasync.describe_task(TaskArn=task)["TaskReportConfig"] == asked
    done = site.run(task)
    assert done["TaskReportConfig"] == asked
    assert done["ReportResult"] == {"Status": "SUCCESS"}, shown(done)
    report = Report(store, "all", done["TaskExecutionArn"])
    assert report.paths("transferred") == sorted([*FILES, "/d", "/link"])
    assert report.paths("verified", VerifyStatus="SUCCESS") == sorted([*FILES, "/d", "/link"])
    assert report.paths("skipped") == ["/fifo"]
    assert report.paths("deleted") == []
    one = report.entry("transferred", "/d/one")
    assert (one["TransferStatus"], one["TransferType"]) == ("SUCCESS", "CONTENT_AND_METADATA")
    assert one["Overwrite"] == "False"
    status = os.lstat(source + b"/d/one")
    metadata = one["SrcMetadata"]
    assert (metadata["Type"], metadata["ContentSize"]) == ("Regular", 3)
    assert (metadata["Uid"], metadata["Gid"], metadata["Mode"]) == (0, 0, "0644")
    assert metadata["FileId"] == status.st_ino
    assert report.entry("transferred", "/d")["SrcMetadata"]["Type"] == "Directory"
    assert report.entry("transferred", "/link")["SrcMetadata"]["Type"] == "Symlink"
    verified = report.entry("verified", "/d/one")
    assert verified["SrcHash"] == verified["DstHash"] and len(verified["SrcHash"]) == 16
    assert verified["DstMetadata"]["ContentSize"] == 3
    assert verified["DstMetadata"]["Mtime"] == metadata["Mtime"]
    skipped = report.entry("skipped", "/fifo")
    assert skipped["SkipReason"] and skipped["SrcMetadata"]["Type"] == "Fifo"
    summary = report.summary
    assert summary["FilesTransferred"] == done["FilesTransferred"] == 7
    assert (summary["Status"], summary["Outcome"]) == ("SUCCESS", "COMPLETED")
    assert summary["Options"]["VerifyMode"] == verify
    assert summary["AccountId"] == "123456789012"


def test_a_second_run_tells_only_what_it_did(site, store, source):
    bucket = site.bucket("second")
    options = {"PreserveDeletedFiles": "REMOVE", "VerifyMode": "ONLY_FILES_TRANSFERRED"}
    task = site.task(
        source, bucket, options=options, TaskMode="ENHANCED",
        TaskReportConfig=config("second", **ALL),
    )
    site.run(task)
    tree.write(source + b"/d/one", b"changed")
    os.chmod(source + b"/d/two", 0o600)
    os.unlink(source + b"/link")
    done = site.run(task)
    report = Report(store, "second", done["TaskExecutionArn"])
    one = report.entry("transferred", "/d/one")
    assert (one["Overwrite"], one["TransferType"]) == ("True", "CONTENT_AND_METADATA")
    assert one["SourceMetadata"]["ContentSize"] == 7 and "SrcMetadata" not in one
    assert report.entry("transferred", "/d/two")["TransferType"] == "METADATA"
    assert report.paths("transferred") == ["/d/one", "/d/two"]
    assert report.paths("deleted", DeleteStatus="SUCCESS") == ["/link"]
    assert report.entry("deleted", "/link")["DestinationMetadata"]["Type"] == "Regular"


def test_by_default_only_errors_are_told(site, store, source):
    manifest = "d/one\nabsent\nd/two\nd\n"
    store.client.put_object(Bucket=REPORTS, Key="list.csv", Body=manifest.encode())
    listed = {
        "ManifestObjectPath": "list.csv",
        "S3BucketArn": f"arn:aws:s3:::{REPORTS}",
        "BucketAccessRoleArn": ROLE,
    }
    task = site.task(
        source, site.bucket("errors"), TaskReportConfig=config("errors"),
        ManifestConfig={"Source": {"S3": listed}},
    )
    done = site.run(task, status="ERROR")
    assert done["ReportResult"]["Status"] == "SUCCESS", shown(done)
    report = Report(store, "errors", done["TaskExecutionArn"])
    assert report.paths("transferred", TransferStatus="FAILED") == ["/absent", "/d"]
    assert report.paths("transferred") == ["/absent", "/d"]
    absent = report.entry("transferred", "/absent")
    assert absent["ErrorCode"] == "SourceVanished" and "manifest" in absent["ErrorDetail"]
    assert report.paths("verified") == [] and report.paths("skipped") == []
    assert report.summary["ErrorCode"] == "ItemsFailed"
    assert report.summary["Manifest"] == f"s3://{REPORTS}/list.csv"


def test_levels_are_overridden_by_kind(site, store, source):
    overrides = {
        "Transferred": {"ReportLevel": "SUCCESSES_AND_ERRORS"},
        "Skipped": {"ReportLevel": "ERRORS_ONLY"},
    }
    asked = config("overrides", Overrides=overrides, ObjectVersionIds="NONE")
    task = site.task(source, site.bucket("overrides"), TaskReportConfig=asked)
    assert site.datasync.describe_task(TaskArn=task)["TaskReportConfig"] == asked
    report = Report(store, "overrides", site.run(task)["TaskExecutionArn"])
    assert len(report.paths("transferred")) == 7
    assert report.paths("skipped") == [] and report.paths("verified") == []


def test_a_summary_alone(site, store, source):
    asked = config("summary", OutputType="SUMMARY_ONLY", ReportLevel="SUCCESSES_AND_ERRORS")
    task = site.task(source, site.bucket("summary"), TaskReportConfig=asked)
    report = Report(store, "summary", site.run(task)["TaskExecutionArn"])
    assert report.objects == 0
    assert report.summary["FilesSkipped"] == 1


def test_an_execution_may_have_another_report_or_none(site, store, source):
    task = site.task(source, site.bucket("other"), TaskReportConfig=config("mine"))
    other = config("other", OutputType="SUMMARY_ONLY")
    done = site.run(task, TaskReportConfig=other)
    assert done["TaskReportConfig"] == other
    assert Report(store, "other", done["TaskExecutionArn"]).summary
    done = site.run(task, TaskReportConfig={})
    assert "TaskReportConfig" not in done and "ReportResult" not in done
    assert Report(store, "mine", done["TaskExecutionArn"]).summaries == []
    site.datasync.update_task(TaskArn=task, TaskReportConfig={})
    assert "TaskReportConfig" not in site.datasync.describe_task(TaskArn=task)


def test_a_report_that_cannot_be_written_fails_no_transfer(site, store, source):
    role = "arn:aws:iam::123456789012:role/wrong-reporter"
    secret = remember("a wrong key", "canary/wrongKeyOfTheReports01234567890ab")
    arguments = ["role", "set-key", role, "--access-key-id", "AKIAWRONG00000000002"]
    site.control.cli(*arguments, "--endpoint", store.endpoint, text_in=secret + "\n")
    bucket = site.bucket("kept")
    for asked in (config("r", bucket="no-such-bucket"), config("r", role=role)):
        task = site.task(source, bucket, TaskReportConfig=asked)
        done = site.run(task)
        result = done["ReportResult"]
        assert (result["Status"], result["ErrorCode"]) == ("ERROR", "TaskReportUploadFailed")
        assert "invalid bucket or IAM role" in result["ErrorDetail"], result
        assert "ErrorCode" not in done["Result"], shown(done)
    assert len(keys(store.client, bucket)) == 7


def test_an_execution_that_never_began_has_nothing_to_report(site, store, source):
    listed = {
        "ManifestObjectPath": "nowhere.csv",
        "S3BucketArn": f"arn:aws:s3:::{REPORTS}",
        "BucketAccessRoleArn": ROLE,
    }
    task = site.task(
        source, site.bucket("nothing"), TaskReportConfig=config("nothing"),
        ManifestConfig={"Source": {"S3": listed}},
    )
    result = site.run(task, status="ERROR")["ReportResult"]
    assert result["Status"] == "ERROR", result
    assert "prior to generating any Task Reports" in result["ErrorDetail"], result


def test_a_report_among_what_the_task_deletes_is_refused(site, store, source):
    same = site.bucket("deletes")
    destination = site.datasync.create_location_s3(
        S3BucketArn=f"arn:aws:s3:::{same}",
        Subdirectory="/data",
        S3Config={"BucketAccessRoleArn": ROLE},
    )["LocationArn"]
    task = site.create_task(
        site.nfs_location(source), destination, {"PreserveDeletedFiles": "REMOVE"},
        TaskReportConfig=config("data/reports", bucket=same),
    )
    site.wait_task(task, "AVAILABLE")
    message = refused(site.datasync.start_task_execution, TaskArn=task)
    assert "TaskReportConfig" in message, message
    site.run(task, TaskReportConfig=config("reports", bucket=same))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"OutputType": "STANDARD"}, "TaskReportConfig.Destination"),
        (config("x") | {"OutputType": "LONG"}, "OutputType"),
        (config("x") | {"ReportLevel": "SOME"}, "ReportLevel"),
        (config("x") | {"ObjectVersionIds": "SOME"}, "ObjectVersionIds"),
        (config("x") | {"Overrides": {"Verified": {"ReportLevel": "X"}}}, "Overrides.Verified"),
        (config("a//b"), "Subdirectory"),
        (config("x", bucket="no bucket"), "S3BucketArn"),
        (config("x", role="role"), "BucketAccessRoleArn"),
    ],
)
def test_members_are_checked(site, source, asked, words):
    nfs, bucket = site.nfs_location(source), site.store_location(site.bucket("members"))
    message = refused(
        site.datasync.create_task,
        SourceLocationArn=nfs,
        DestinationLocationArn=bucket,
        TaskReportConfig=asked,
    )
    assert words in message, message


def test_the_report_of_a_run_that_was_killed_is_whole(site, store):
    source = site.source("killed")
    names = [f"{number:03d}" for number in range(80)]
    for number, name in enumerate(names):
        tree.write(source + b"/" + name.encode(), tree.noise(number, 128 * KIB))
    task = site.task(
        source, site.bucket("killed"), options={"BytesPerSecond": 2 * MIB},
        TaskReportConfig=config("killed", **ALL),
    )
    execution = site.launch(task)
    for done in (10, 30):
        site.wait_execution(execution, until=lambda d: d["FilesTransferred"] >= done)
        assert site.describe(execution)["ReportResult"] == {"Status": "PENDING"}
        site.agent.server.kill()
        site.agent.start()
    ended = site.wait_execution(execution)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert ended["ReportResult"] == {"Status": "SUCCESS"}
    report = Report(store, "killed", execution)
    expected = [f"/{name}" for name in names]
    assert report.paths("transferred", TransferStatus="SUCCESS") == expected
    assert report.paths("transferred") == expected
    assert report.paths("verified") == expected
    assert report.summary["FilesTransferred"] == 80


def test_a_cancelled_execution_reports_what_it_did(site, store):
    source = site.source("cancelled")
    for number in range(60):
        tree.write(source + b"/%02d" % number, tree.noise(number, 128 * KIB))
    task = site.task(
        source, site.bucket("cancelled"), options={"BytesPerSecond": MIB},
        TaskReportConfig=config("cancelled", **ALL),
    )
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["FilesTransferred"] >= 5)
    site.datasync.cancel_task_execution(TaskExecutionArn=execution)
    ended = site.wait_execution(execution)
    assert ended["Status"] == "ERROR", shown(ended)
    assert ended["ReportResult"] == {"Status": "SUCCESS"}, shown(ended)
    report = Report(store, "cancelled", execution)
    assert report.summary["Outcome"] == "CANCELLED"
    assert len(report.paths("transferred")) == ended["FilesTransferred"] > 4
