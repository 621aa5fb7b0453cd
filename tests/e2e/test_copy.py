"""`datasync-agent copy`: one transfer without control, as a script runs it."""

import base64
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from world import tree
from world.expected import Snapshot, keys, open_uploads, versions
from world.process import Daemon, binary, free_port, run, wait_until
from world.secrets import assert_no_secrets

MIB = 1024 * 1024
COUNTERS = {
    "discovered",
    "unchanged",
    "to_transfer",
    "transferred",
    "skipped",
    "failed",
    "verified",
    "mismatched",
    "to_delete",
    "deleted",
    "delete_failed",
    "bytes_to_transfer",
    "bytes_written",
    "bytes_transferred",
}
SLOW = ("--bytes-per-second", "2MiB")


class Pair:
    """A directory of the NFS server, a bucket, and copies from one to the other."""

    def __init__(self, name, directory, logs, nfs, store, squashed=False):
        self.name = name
        self.logs = logs
        self.nfs = nfs
        self.store = store
        self.home = directory / name
        self.home.mkdir()
        self.state = self.home / ".local/state/datasync-agent/copy"
        base = nfs.squashed if squashed else nfs.open
        self.source = tree.directory(os.fsencode(base / f"copy-{name}"))
        self.bucket = store.bucket(f"copy-{name}"[:63].rstrip("-"))
        self.since_ns = time.time_ns()
        self.destination = f"s3://{self.bucket}/to"

    def snapshot(self, **changed):
        return Snapshot(self.source, "to/", since_ns=self.since_ns, **changed)

    def command(self, *flags, source=None, destination=None):
        source = source or f"nfs://{self.nfs.host}{os.fsdecode(self.source)}"
        return [binary("datasync-agent"), "copy", source, destination or self.destination, *flags]

    def environment(self, **changed):
        """`None` takes a variable away."""
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AWS_ENDPOINT_URL": self.store.endpoint,
            "AWS_ACCESS_KEY_ID": self.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        } | changed
        return {name: value for name, value in variables.items() if value is not None}

    def run(self, *flags, code=0, source=None, destination=None, **variables):
        """To its end, with any code if that is None. No secret may be in what it says."""
        command = self.command(*flags, source=source, destination=destination)
        answer = run(command, timeout=120, env=self.environment(**variables))
        with open(self.logs / f"{self.name}.out", "a") as kept:
            kept.write(answer.stdout + answer.stderr)
        assert code is None or answer.returncode == code, answer
        assert "panic" not in answer.stderr, answer
        return answer

    def document(self, *flags, **more):
        """What `--json` prints."""
        lines = self.run("--json", *flags, **more).stdout.splitlines()
        assert len(lines) == 1, lines
        return json.loads(lines[0])

    def start(self, *flags):
        log = self.logs / f"{self.name}-started.log"
        command = self.command(*flags)
        return Daemon("copy", command, log, env=self.environment()).start()

    def journals(self):
        return list(self.state.rglob("executions/*/journal"))

    def wait_for_objects(self, server, count):
        client = self.store.client
        server.wait_for("objects arrive", lambda: len(keys(client, self.bucket)) >= count, 60)


@pytest.fixture
def make_pair(request, directory, module_logs, nfs, store):
    made = []

    def make(**more):
        name = re.sub(r"\W+|_", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
        made.append(Pair(f"{name}-{len(made)}", directory, module_logs, nfs, store, **more))
        return made[-1]

    return make


@pytest.fixture
def pair(make_pair):
    return make_pair()


@pytest.fixture(scope="module", autouse=True)
def no_secret_anywhere(directory, module_logs):
    yield
    assert_no_secrets(module_logs, directory)


@pytest.fixture
def slow(pair):
    """Files of 256 KiB and one in parts: 14 MiB, which take 7 s at the rate of SLOW."""
    for number in range(24):
        tree.write(pair.source + b"/%02d" % number, tree.noise(number, MIB // 4))
    tree.write(pair.source + b"/large", tree.noise("large", 12 * MIB))
    return pair


def test_first_everything_then_nothing(pair, store):
    tree.odd_names(pair.source)
    tree.neighbours(pair.source)
    tree.kinds(pair.source + b"/kinds")
    snapshot = pair.snapshot()
    first = pair.run()
    assert first.stdout.startswith("SUCCESS: nfs://"), first
    count = len(snapshot.entries)
    assert f"{count} transferred, 0 unchanged, 1 skipped, 0 failed" in first.stdout, first
    # Not a terminal: no live line.
    assert first.stderr == "", first
    snapshot.assert_at(store.client, pair.bucket)
    before = versions(store.client, pair.bucket)
    second = pair.document()
    assert second["status"] == "SUCCESS", second
    assert (second["counters"]["transferred"], second["counters"]["bytes_written"]) == (0, 0)
    assert second["counters"]["unchanged"] == count, second
    assert versions(store.client, pair.bucket) == before
    assert pair.journals() == []


def test_the_json_document(pair):
    tree.write(pair.source + b"/file", b"content")
    document = pair.document("--verify-mode", "POINT_IN_TIME_CONSISTENT")
    assert set(document) == {
        "version",
        "status",
        "source",
        "destination",
        "endpoint_url",
        "resumed",
        "resumable",
        "counters",
        "result",
        "failure_list",
        "requests",
        "plan",
        "plan_list",
    }
    assert document["version"] == 1
    assert document["status"] == "SUCCESS"
    assert document["source"] == f"nfs://127.0.0.1{os.fsdecode(pair.source)}/"
    assert document["destination"] == pair.destination + "/"
    assert document["endpoint_url"] == pair.store.endpoint
    assert (document["resumed"], document["resumable"]) == (False, False)
    assert document["failure_list"] is None
    assert (document["plan"], document["plan_list"]) == (None, None)
    assert set(document["counters"]) == COUNTERS
    assert document["counters"]["transferred"] == 2
    assert document["counters"]["verified"] == 2
    result = document["result"]
    assert result["failure"] is None
    for phase in ("prepare", "transfer", "verify"):
        assert result[f"{phase}_status"] == "SUCCESS", result
        assert isinstance(result[f"{phase}_duration_ms"], int), result
    assert isinstance(result["total_duration_ms"], int), result


def test_a_small_file_costs_one_read_and_one_put(make_pair):
    """Everything else that a copy costs is the same for one file and for many."""

    def requests(count):
        pair = make_pair()
        for number in range(count):
            tree.write(pair.source + b"/%03d" % number, tree.noise(number, 1000 + number))
        document = pair.document()
        assert document["counters"]["transferred"] == count + 1, document
        # A larger directory takes more pages.
        document["requests"]["source"].pop("READDIRPLUS")
        return document["requests"]

    one, many = requests(1), requests(300)
    one["source"]["READ"] += 299
    one["destination"]["PutObject"] += 299
    assert many == one


def test_a_dry_run_says_what_a_copy_then_does(pair, store):
    for name in (b"kept", b"edited", b"gone"):
        tree.write(pair.source + b"/" + name, name)
    remove = ("--preserve-deleted-files", "REMOVE")
    pair.run(*remove)
    tree.write(pair.source + b"/edited", b"in other words")
    tree.write(pair.source + b"/large", tree.noise("large", 9 * MIB))
    os.unlink(pair.source + b"/gone")
    before = versions(store.client, pair.bucket)
    dry = pair.document(*remove, "--dry-run", "--bytes-per-second", "1MiB")
    assert versions(store.client, pair.bucket) == before
    assert set(dry["requests"]["destination"]) <= {"ListObjectsV2", "HeadObject"}, dry
    assert dry["plan"]["at_limit_ms"] // 1000 == 9, dry
    limits = ("--bytes-per-second", "1MiB", "--bandwidth-timetable", "UTC 3MiB")
    by_time = pair.document(*remove, "--dry-run", *limits)
    assert by_time["plan"]["at_limit_ms"] // 1000 == 3, by_time
    shown = pair.run(*remove, "--dry-run", *limits)
    assert re.search(r"to transfer: 3 seconds by the timetable$", shown.stdout, re.M), shown
    with open(dry["plan_list"]) as lines:
        planned = {line["path"]: line["action"] for line in map(json.loads, lines)}
    names = {path: planned.get(path) for path in ("/kept", "/edited", "/large", "/gone")}
    assert names == {"/kept": None, "/edited": "transfer", "/large": "transfer", "/gone": "delete"}
    shown = pair.run(*remove, "--dry-run")
    assert "a dry run: nothing was written" in shown.stdout, shown
    done = pair.document(*remove, "--bandwidth-timetable", "Europe/Berlin Mon-Sun unlimited")
    for said, counted in [("to_transfer", "transferred"), ("to_delete", "deleted")]:
        assert dry["counters"][said] == done["counters"][counted], (dry, done)
    assert done["counters"]["bytes_written"] == dry["counters"]["bytes_to_transfer"]
    pair.snapshot().assert_at(store.client, pair.bucket)


def test_killed_in_the_middle_and_again(slow, store):
    server = slow.start(*SLOW)
    slow.wait_for_objects(server, 6)
    server.kill()
    assert len(slow.journals()) == 1
    # The rate is no part of what is resumed.
    document = slow.document()
    assert (document["status"], document["resumed"]) == ("SUCCESS", True), document
    snapshot = slow.snapshot()
    # Nothing is counted twice; what arrived just before the end is found there.
    counters = document["counters"]
    found = (counters["transferred"] + counters["unchanged"], counters["discovered"])
    assert found == (len(snapshot.entries), len(snapshot.entries)), document
    snapshot.assert_at(store.client, slow.bucket)
    assert open_uploads(store.client, slow.bucket) == []
    assert slow.journals() == []
    again = slow.document()
    assert (again["resumed"], again["counters"]["transferred"]) == (False, 0), again


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_a_signal_and_resumed(slow, store, number, code):
    server = slow.start(*SLOW)
    slow.wait_for_objects(server, 6)
    server.signal(number)
    assert server.wait_for_end(20) == code
    assert re.search("^INTERRUPTED: ", server.output(), re.M), server.output()
    assert "run the same command again" in server.output()
    assert str(slow.journals()[0].parent) in server.output()
    document = slow.document()
    assert (document["status"], document["resumed"]) == ("SUCCESS", True), document
    slow.snapshot().assert_at(store.client, slow.bucket)
    assert open_uploads(store.client, slow.bucket) == []


def test_a_second_copy_of_the_pair_is_refused(slow):
    server = slow.start(*SLOW)
    try:
        slow.wait_for_objects(server, 2)
        refused = slow.run("--exclude", "/00", code=1)
        assert "another copy from nfs://" in refused.stdout, refused
        assert "is running" in refused.stdout, refused
        assert server.alive()
    finally:
        server.kill()
    # Other options are another copy: the one that was interrupted is named and stays.
    other = slow.run("--exclude", "/00", "--log-level", "info")
    assert "with other options was interrupted" in other.stderr, other
    assert len(slow.journals()) == 1
    assert slow.document()["resumed"] is True
    assert slow.journals() == []


def test_items_that_cannot_be_read_are_named(make_pair):
    pair = make_pair(squashed=True)
    tree.write(pair.source + b"/readable", b"content")
    for number in range(7):
        tree.write(pair.source + b"/unreadable %d" % number, b"secret", mode=0o000)
    answer = pair.run(code=2)
    assert answer.stdout.startswith("INCOMPLETE: "), answer
    assert answer.stdout.count("\n  failed: /unreadable ") == 5, answer
    document = pair.document(code=2)
    assert document["status"] == "INCOMPLETE", document
    assert document["counters"]["failed"] == 7, document
    assert document["result"]["failure"]["code"] == "ItemsFailed", document
    assert document["failure_list"] in answer.stdout, answer
    with open(document["failure_list"]) as lines:
        listed = [json.loads(line) for line in lines]
    assert {line["path"] for line in listed} == {f"/unreadable {n}" for n in range(7)}
    assert {line["code"] for line in listed} == {"SourcePermissionDenied"}
    # The cause is gone: the next copy is whole, and there is no list any more.
    for number in range(7):
        os.chmod(pair.source + b"/unreadable %d" % number, 0o644)
    assert pair.document()["failure_list"] is None
    assert not os.path.exists(document["failure_list"])


def test_the_root_is_remembered_from_copy_to_copy(pair, store):
    remove = ("--preserve-deleted-files", "REMOVE")
    port = free_port()

    def copied(name, **files):
        """Copies a directory that an NFS server exports as its root."""
        export = pair.home / name
        export.mkdir(exist_ok=True)
        for file in export.iterdir():
            file.unlink()
        for file, content in files.items():
            (export / file).write_text(content)
        command = [binary("quickstart-nas"), "--export", export, "--listen", f"127.0.0.1:{port}"]
        server = Daemon("nas", command, pair.logs / f"{pair.name}-nas.log").start()
        try:
            server.wait_for_port(port)
            return pair.document(*remove, source=f"nfs://127.0.0.1:{port}/", code=None)
        finally:
            server.kill()

    assert copied("first", stays="1", goes="2")["status"] == "SUCCESS"
    gone = copied("first", stays="1")
    assert (gone["status"], gone["counters"]["deleted"]) == ("SUCCESS", 1), gone
    assert keys(store.client, pair.bucket) == ["to/", "to/stays"]
    # Another directory under the same name: nothing of it was agreed to.
    withheld = copied("second", new="3")
    assert withheld["status"] == "INCOMPLETE", withheld
    assert withheld["result"]["failure"]["code"] == "DeletesWithheld", withheld
    assert keys(store.client, pair.bucket) == ["to/", "to/new", "to/stays"]


def test_a_profile_has_the_keys(pair):
    tree.write(pair.source + b"/file", b"content")
    folder = pair.home / ".aws"
    folder.mkdir()
    files = {"config": folder / "config", "credentials": folder / "credentials"}
    files["config"].write_text("[profile other]\nregion = eu-west-7\n")
    files["credentials"].write_text(
        f"[other]\naws_access_key_id = {pair.store.access_key}\n"
        f"aws_secret_access_key = {pair.store.secret_key}\n"
    )
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    try:
        pair.run(AWS_PROFILE="other", **no_keys)
        pair.run("--profile", "other", AWS_SECRET_ACCESS_KEY="wrong")
        missing = pair.run("--profile", "missing", code=1)
        assert "no credentials for s3://" in missing.stdout, missing
        assert "missing" in missing.stdout, missing
    finally:
        files["credentials"].unlink()
    lacking = pair.run(code=1, **no_keys)
    assert "CredentialsUnavailable: " in lacking.stdout, lacking
    assert "AWS_ACCESS_KEY_ID" in lacking.stdout, lacking


def test_what_cannot_be_opened_is_named(pair):
    bucket = pair.document(code=1, destination="s3://no-such-bucket")
    assert bucket["status"] == "ERROR", bucket
    assert bucket["result"]["failure"]["code"] == "BucketNotFound", bucket
    assert "no-such-bucket" in bucket["result"]["failure"]["detail"], bucket
    export = pair.document(code=1, source="nfs://127.0.0.1/no/such/export")
    # The server does not tell an unknown export from one that it refuses.
    codes = ("SourcePathNotFound", "SourcePermissionDenied")
    assert export["result"]["failure"]["code"] in codes, export
    assert "/no/such/export" in export["result"]["failure"]["detail"], export
    key = pair.run(code=1, AWS_SECRET_ACCESS_KEY="wrong")
    assert "DestinationPermissionDenied: " in key.stdout, key
    assert "check the access key" in key.stdout, key
    assert "control" not in key.stdout, key
    assert pair.journals() == []


def test_bad_flags_are_all_named_at_once(pair):
    flags = ["--verify-mode", "SOME", "--bytes-per-second", "0", "--memory-target", "lots"]
    flags += ["--include", "home", "--storage-class", "COLD", "--json"]
    bad = pair.run(*flags, code=64, source="nas:/export", destination="bucket")
    assert bad.stdout == "", bad
    for said in [
        "SOURCE: ",
        "DESTINATION: ",
        "--verify-mode: ",
        "--bytes-per-second: ",
        "memory_target (flag --memory-target)",
        "--include: ",
        "--storage-class: ",
    ]:
        assert said in bad.stderr, bad
    coupled = pair.run("--transfer-mode", "ALL", "--preserve-deleted-files", "REMOVE", code=64)
    assert "ALL,REMOVE" in coupled.stderr, coupled
    assert "Usage" in run([binary("datasync-agent"), "copy"]).stderr
    unknown = pair.run("--colour", "red", code=64)
    assert "--colour" in unknown.stderr, unknown


def test_secrets_are_not_logged(pair):
    tree.write(pair.source + b"/file", b"content")
    token = "canaryTokenOfASession0123456789"
    answer = pair.run("--log-level", "debug", AWS_SESSION_TOKEN=token, code=None)
    assert "DEBUG" in answer.stderr, answer
    shown = answer.stdout + answer.stderr
    assert pair.store.secret_key not in shown and token not in shown


def test_a_terminal_gets_a_live_line(slow):
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        slow.command(*SLOW, "--json"),
        env=slow.environment(TERM="xterm", COLUMNS="160"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""

    def read_some():
        nonlocal shown
        try:
            shown += os.read(master, 65536)
        except OSError:
            # The other side is closed.
            return True
        return False

    wait_until("the copy ends", read_some, 120, 0)
    assert process.wait(20) == 0
    assert json.loads(process.stdout.read())["status"] == "SUCCESS"
    assert re.search(rb"TRANSFERRING +\d+ of \d+ files, .* MiB/s, ", shown), shown[-2000:]


def test_sha256_is_what_the_store_tells(pair, store):
    tree.write(pair.source + b"/file", b"content")
    pair.run("--checksum-algorithm", "SHA256")
    key = "to/file"
    head = store.client.head_object(Bucket=pair.bucket, Key=key, ChecksumMode="ENABLED")
    digest = hashlib.sha256(b"content").digest()
    assert head["ChecksumSHA256"] == base64.b64encode(digest).decode(), head
    answer = pair.run("--checksum-algorithm", "sha256", code=64)
    assert "--checksum-algorithm: \"sha256\" is not a ChecksumAlgorithm" in answer.stderr, answer


def test_a_file_that_is_proven_by_sha256_goes_on_at_the_part(pair, store):
    part = 8 * MIB
    tree.big(pair.source + b"/large", 2 * part + 5)
    sha256 = ("--checksum-algorithm", "SHA256")
    server = pair.start(*sha256, "--bytes-per-second", "4MiB")

    def has_a_part():
        uploads = store.client.list_multipart_uploads(Bucket=pair.bucket).get("Uploads", [])
        names = [(upload["Key"], upload["UploadId"]) for upload in uploads]
        return any(
            store.client.list_parts(Bucket=pair.bucket, Key=key, UploadId=upload).get("Parts")
            for key, upload in names
            if key == "to/large"
        )

    server.wait_for("a part is with the store", has_a_part, 60)
    server.kill()
    document = pair.document(*sha256)
    assert (document["status"], document["resumed"]) == ("SUCCESS", True), document
    # The one of the probe: the upload goes on.
    assert document["requests"]["destination"]["CreateMultipartUpload"] == 1, document
    with open(pair.source + b"/large", "rb") as file:
        digests = [hashlib.sha256(file.read(part)).digest() for _ in range(3)]
    whole = base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode()
    head = store.client.head_object(Bucket=pair.bucket, Key="to/large", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == f"{whole}-3", head
    assert open_uploads(store.client, pair.bucket) == []
