"""Task reports: what an execution did, as JSON objects in a bucket of its own."""

import json
import os
import re
import ssl
import subprocess
import urllib.request
from hashlib import sha256

import pytest
from botocore.exceptions import ClientError
from world import tree
from world.expected import keys
from world.process import binary, wait_until
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
    """The role of the reports' bucket lives at our store, which serves other modules too."""
    arguments = ["role", "set-key", ROLE, "--access-key-id", store.access_key]
    arguments += ["--endpoint", store.endpoint]
    site.control.cli(*arguments, text_in=store.secret_key + "\n")
    known = {bucket["Name"] for bucket in store.client.list_buckets()["Buckets"]}
    if REPORTS not in known:
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
        self.summaries, self.signatures, self.objects = [], [], 0
        for key in keys(store.client, REPORTS):
            if not key.startswith(f"{subdirectory}/") or f"/{self.execution}/" not in key:
                continue
            body = store.client.get_object(Bucket=REPORTS, Key=key)["Body"].read()
            self._take(key.removeprefix(f"{subdirectory}/"), json.loads(body))

    def _take(self, key, document):
        if key.startswith(f"Report-Signatures/{self.task}/{self.execution}/"):
            self.signatures.append(document)
            return
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
    def signed(self):
        assert len(self.signatures) == 1
        return self.signatures[0]

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


def downloaded(store, subdirectory, folder):
    """The files of the reports below a prefix, as `aws s3 cp --recursive` would have them."""
    for key in keys(store.client, REPORTS):
        if key.startswith(f"{subdirectory}/"):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.client.get_object(Bucket=REPORTS, Key=key)["Body"].read())
    return folder


def published(site, folder):
    """Control's public keys as everybody gets them, in a file."""
    file = folder / "report-keys.json"
    trusting = ssl.create_default_context(cafile=site.control.ca)
    with urllib.request.urlopen(f"{site.control.endpoint}/report-keys", context=trusting) as answer:
        file.write_bytes(answer.read())
    return file


def verified(folder, key_file):
    """The exit code of `report verify` in an environment without anything, and what it printed."""
    command = [binary("datasync-control"), "report", "verify", str(folder), "--keys", str(key_file)]
    done = subprocess.run(command, capture_output=True, text=True, env={}, timeout=60)
    return done.returncode, done.stdout + done.stderr


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


@pytest.fixture
def signed(site, store, source, tmp_path):
    """The downloaded report of a run, the public keys, and the run."""
    place = bucket = site.bucket("signed")
    task = site.task(source, bucket, TaskReportConfig=config(place, **ALL))
    done = site.run(task)
    assert done["ReportResult"] == {"Status": "SUCCESS"}, shown(done)
    folder = downloaded(store, place, tmp_path / "report")
    return folder, published(site, tmp_path), done["TaskExecutionArn"].rsplit("/", 1)[1]


def test_a_report_is_verified_offline(site, signed):
    folder, key_file, execution = signed
    code, told = verified(folder, key_file)
    assert code == 0, told
    assert f"{execution}: as it was signed" in told and "4 objects" in told, told
    printed = json.loads(site.control.cli("report", "keys"))
    assert printed == json.loads(key_file.read_text())
    assert [key["Algorithm"] for key in printed["Keys"]] == ["ECDSA_P256_SHA256"]
    agent = json.loads(next(folder.rglob("*signature-v1*")).read_text())["Agent"]["AgentArn"]
    assert agent in told


def root_over(records):
    """RFC 6962, section 2.1, word for word."""
    if len(records) <= 1:
        return sha256(b"\0" + records[0]).digest() if records else sha256(b"").digest()
    half = 1
    while half * 2 < len(records):
        half *= 2
    return sha256(b"\1" + root_over(records[:half]) + root_over(records[half:])).digest()


def raw_entries(text):
    """The bytes of each entry of an object; a summary is one."""
    found = re.match(r'\{"TaskExecutionId":"[^"]+","(Transferred|Verified|Skipped|Deleted)":\[', text)
    if not found:
        return [text.encode()]
    entries, at = [], found.end()
    while text[at] != "]":
        _, end = json.JSONDecoder().raw_decode(text, at)
        entries.append(text[at:end].encode())
        at = end + (text[end] == ",")
    return entries


def test_the_root_is_the_one_that_others_compute(signed):
    folder, _, _ = signed
    document = json.loads(next(folder.rglob("*signature-v1*")).read_text())
    records = []
    for written in document["Objects"]:
        leaves = raw_entries(next(folder.rglob(written["Name"])).read_text())
        hashes = sorted(sha256(b"\0" + leaf).digest() for leaf in leaves)
        own = [written["Name"], str(len(leaves)), root_over(leaves).hex(),
               sha256(b"".join(hashes)).hexdigest()]
        assert own[1:] == [str(written["Entries"]), written["Root"], written["Set"]]
        records.append("\n".join(own).encode())
    assert root_over(records).hex() == document["Root"]


def altered(path, change):
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


@pytest.mark.parametrize(
    ("code", "words", "tamper"),
    [
        (25, "was altered", lambda folder: altered(
            next(folder.rglob("*files-transferred*")), lambda t: t.replace('"Uid":0', '"Uid":7', 1))),
        (20, "is missing", lambda folder: next(folder.rglob("*files-verified*")).unlink()),
        (21, "was added", lambda folder: (folder / re.sub(
            "files-[a-z]+", "files-deleted", next(folder.rglob("*files-skipped*")).name
        )).write_text("{}")),
        (25, "was altered", lambda folder: altered(
            next(folder.rglob("*summary-v1*")), lambda t: t.replace("COMPLETED", "ERROR"))),
        (10, "not signed", lambda folder: next(folder.rglob("*signature-v1*")).unlink()),
        (13, "not countersigned", lambda folder: altered(
            next(folder.rglob("*signature-v1*")),
            lambda t: json.dumps(json.loads(t) | {"Control": None}))),
    ],
)
def test_what_was_tampered_with_is_told(signed, code, words, tamper):
    folder, key_file, execution = signed
    tamper(folder)
    found, told = verified(folder, key_file)
    assert found == code, told
    assert execution in told and words in told, told


def test_keys_are_rotated_and_old_reports_stay_good(site, store, source, tmp_path):
    task = site.task(source, site.bucket("rotated"), TaskReportConfig=config("rotated", **ALL))
    first = Report(store, "rotated", site.run(task)["TaskExecutionArn"]).signed
    old = published(site, tmp_path)
    old = old.rename(tmp_path / "old-keys.json")
    new = site.control.cli("report", "rotate-key").strip()
    second = Report(store, "rotated", site.run(task)["TaskExecutionArn"]).signed
    assert first["Control"]["KeyId"] != new == second["Control"]["KeyId"]
    listed = {key["KeyId"]: key for key in json.loads(published(site, tmp_path).read_text())["Keys"]}
    assert "NotAfter" in listed[first["Control"]["KeyId"]] and "NotAfter" not in listed[new]
    folder = downloaded(store, "rotated", tmp_path / "report")
    code, told = verified(folder, tmp_path / "report-keys.json")
    assert code == 0, told
    code, told = verified(folder, old)
    assert code == 14 and new in told, told


def test_a_report_waits_for_control_and_is_the_same_after_a_kill(site, store, source, tmp_path):
    for number in range(8):
        tree.write(source + b"/slow%d" % number, tree.noise(number, 256 * KIB))
    task = site.task(
        source, site.bucket("waits"), options={"BytesPerSecond": MIB},
        TaskReportConfig=config("waits", **ALL),
    )
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["FilesTransferred"] >= 2)
    site.control.server.kill()

    def summary():
        written = [key for key in keys(store.client, REPORTS) if key.startswith("waits/Summary")]
        return [store.client.get_object(Bucket=REPORTS, Key=key)["Body"].read() for key in written]

    before = wait_until("a summary", summary, timeout=60)
    assert Report(store, "waits", execution).signatures == []
    site.agent.server.kill()
    site.agent.start()
    site.control.start()
    ended = site.wait_execution(execution)
    assert ended["Status"] == "SUCCESS", shown(ended)
    assert ended["ReportResult"] == {"Status": "SUCCESS"}, shown(ended)
    assert summary() == before
    code, told = verified(downloaded(store, "waits", tmp_path / "report"), published(site, tmp_path))
    assert code == 0, told


def test_a_role_that_control_has_no_credentials_of_is_refused_at_the_start(site, source):
    role = "arn:aws:iam::123456789012:role/nobody-knows"
    task = site.task(source, site.bucket("no-role"), TaskReportConfig=config("r", role=role))
    message = refused(site.datasync.start_task_execution, TaskArn=task)
    assert role in message and "role set-key" in message, message
    listed = {
        "ManifestObjectPath": "list.csv",
        "S3BucketArn": f"arn:aws:s3:::{REPORTS}",
        "BucketAccessRoleArn": role,
    }
    message = refused(
        site.datasync.start_task_execution, TaskArn=task, TaskReportConfig={},
        ManifestConfig={"Source": {"S3": listed}},
    )
    assert role in message and "manifest" in message, message


def test_a_cancel_while_the_report_is_written_is_in_its_summary(site, store, tmp_path):
    role = "arn:aws:iam::123456789012:role/late"

    def set_key(endpoint):
        arguments = ["role", "set-key", role, "--access-key-id", store.access_key]
        site.control.cli(*arguments, "--endpoint", endpoint, text_in=store.secret_key + "\n")

    source = site.source("late")
    for number in range(10):
        tree.write(source + b"/%02d" % number, tree.noise(number, 128 * KIB))
    set_key(store.endpoint)
    task = site.task(
        source, site.bucket("late"), options={"BytesPerSecond": 256 * KIB},
        TaskReportConfig=config("late", role=role, **ALL),
    )
    execution = site.launch(task)
    site.wait_execution(execution, until=lambda d: d["FilesTransferred"] >= 2)
    # An agent that is started anew gets no keys of another store: its report waits.
    site.agent.server.kill()
    set_key("http://127.0.0.1:9")
    site.agent.start()
    concluded = site.agent.state / "executions" / execution.rsplit("/", 1)[1] / "concluded.json"
    wait_until("the end of the transfer", concluded.exists, timeout=60)
    site.datasync.cancel_task_execution(TaskExecutionArn=execution)
    set_key(store.endpoint)
    ended = site.wait_execution(execution)
    assert (ended["Status"], ended["Result"]["ErrorCode"]) == ("ERROR", "Cancelled"), shown(ended)
    assert "already" in ended["Result"]["ErrorDetail"], shown(ended)
    assert ended["ReportResult"] == {"Status": "SUCCESS"}, shown(ended)
    summary = Report(store, "late", execution).summary
    assert (summary["Status"], summary["Outcome"]) == ("ERROR", "CANCELLED")
    assert summary["FilesTransferred"] == 10
    code, told = verified(downloaded(store, "late", tmp_path / "report"), published(site, tmp_path))
    assert code == 0, told
