"""Each change at the source is seen by the next run; deletes obey every guard."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from world import tree
from world.expected import Snapshot, keys, versions
from world.site import shown

REMOVE = {"PreserveDeletedFiles": "REMOVE"}


class Pair:
    """A tree, its bucket and a task between them, after a first run."""

    def __init__(self, site, squashed=False, **options):
        self.site = site
        self.since_ns = time.time_ns()
        self.s3 = site.store.client
        self.source = site.source("changes", squashed)
        for name in (b"a", b"a-b", b"a.txt", b"z"):
            tree.write(self.source + b"/" + name, b"content of " + name)
        below = tree.directory(self.source + b"/dir")
        for name in (b"1", b"2", b"3"):
            tree.write(below + b"/" + name, b"inside " + name)
        self.bucket = site.bucket("changes")
        self.task = site.task(self.source, self.bucket, options=options)
        site.run(self.task)
        self.assert_exact()

    def path(self, name):
        return self.source + b"/" + name

    def assert_exact(self):
        Snapshot(self.source, since_ns=self.since_ns).assert_at(self.s3, self.bucket)

    def changed_by_run(self, **more):
        """Runs, compares, and answers the keys that were written or deleted."""
        before = versions(self.s3, self.bucket)
        ended = self.site.run(self.task, **more)
        after = versions(self.s3, self.bucket)
        keys_of_both = before.keys() | after.keys()
        return ended, {key for key in keys_of_both if before.get(key) != after.get(key)}


@pytest.fixture
def pair(site):
    return Pair(site, **REMOVE)


def set_mtime(path, mtime_ns):
    os.utime(path, ns=(time.time_ns(), mtime_ns), follow_symlinks=False)


def test_a_modified_file(pair):
    tree.write(pair.path(b"a"), b"another content, longer")
    _, changed = pair.changed_by_run()
    assert changed == {"a"}
    pair.assert_exact()


def test_an_edit_of_the_same_size(pair):
    before = os.stat(pair.path(b"a"))
    tree.write(pair.path(b"a"), b"CONTENT OF A")
    set_mtime(pair.path(b"a"), before.st_mtime_ns + 1)
    _, changed = pair.changed_by_run()
    assert changed == {"a"}
    pair.assert_exact()


def test_an_edit_that_puts_the_mtime_back(pair):
    before = os.stat(pair.path(b"a"))
    tree.write(pair.path(b"a"), b"CONTENT OF A")
    set_mtime(pair.path(b"a"), before.st_mtime_ns)
    _, changed = pair.changed_by_run()
    assert changed == {"a"}
    pair.assert_exact()


@pytest.mark.parametrize("what", ["mode", "owner", "group", "mtime"])
def test_a_change_of_metadata_alone(pair, what):
    path = pair.path(b"a.txt")
    change = {
        "mode": lambda: os.chmod(path, 0o600),
        "owner": lambda: os.chown(path, 1234, -1),
        "group": lambda: os.chown(path, -1, 4321),
        "mtime": lambda: set_mtime(path, 1_000_000_000_000_000_000),
    }
    change[what]()
    pair.changed_by_run()
    pair.assert_exact()


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_the_metadata_of_an_archived_object(pair, storage_class):
    archived = {"Bucket": pair.bucket, "Key": "a"}
    pair.s3.copy_object(
        **archived, CopySource=archived, StorageClass=storage_class, MetadataDirective="COPY"
    )
    with pytest.raises(pair.s3.exceptions.InvalidObjectState):
        pair.s3.get_object(**archived)
    before = pair.s3.head_object(**archived, ChecksumMode="ENABLED")
    os.chmod(pair.path(b"a"), 0o600)
    ended = pair.site.run(pair.task)
    # It cannot be copied onto itself: its content is uploaded again, in its class.
    assert ended["BytesTransferred"] == before["ContentLength"], shown(ended)
    after = pair.s3.head_object(**archived, ChecksumMode="ENABLED")
    assert after["StorageClass"] == storage_class
    assert after["Metadata"]["file-permissions"] == "0100600"
    assert after["ChecksumCRC64NVME"] == before["ChecksumCRC64NVME"]


def test_a_directory_s_mode(pair):
    os.chmod(pair.path(b"dir"), 0o700)
    pair.changed_by_run()
    pair.assert_exact()


def test_a_file_is_replaced_by_a_directory_and_back(pair):
    os.remove(pair.path(b"a"))
    below = tree.directory(pair.path(b"a"))
    tree.write(below + b"/inside", b"new")
    pair.changed_by_run()
    pair.assert_exact()
    shutil.rmtree(pair.path(b"a"))
    tree.write(pair.path(b"a"), b"a file again")
    pair.changed_by_run()
    pair.assert_exact()


def test_a_file_is_replaced_by_a_symbolic_link(pair):
    os.remove(pair.path(b"a"))
    os.symlink(b"a.txt", pair.path(b"a"))
    pair.changed_by_run()
    pair.assert_exact()


def test_deleted_files_and_directories_go_with_remove(pair):
    os.remove(pair.path(b"z"))
    shutil.rmtree(pair.path(b"dir"))
    ended, changed = pair.changed_by_run()
    assert changed == {"z", "dir/", "dir/1", "dir/2", "dir/3"}
    assert ended["FilesDeleted"] == 5, shown(ended)
    pair.assert_exact()


def test_deleted_files_stay_with_preserve(site):
    pair = Pair(site, PreserveDeletedFiles="PRESERVE")
    os.remove(pair.path(b"z"))
    ended, changed = pair.changed_by_run()
    assert changed == set()
    assert ended["FilesDeleted"] == 0, shown(ended)
    assert "z" in keys(pair.s3, pair.bucket)


def test_objects_that_nobody_copied_go_with_remove_unless_their_keys_name_no_path(pair):
    for key in ("stranger", "dir/stranger", "odd//key", "up/../key"):
        pair.s3.put_object(Bucket=pair.bucket, Key=key, Body=b"not from the source")
    pair.changed_by_run()
    left = set(keys(pair.s3, pair.bucket)) - set(Snapshot(pair.source).entries)
    assert left == {"odd//key", "up/../key"}


def test_what_an_exclude_hides_is_not_deleted(site):
    excludes = [{"FilterType": "SIMPLE_PATTERN", "Value": "/dir"}]
    pair = Pair(site, **REMOVE)
    shutil.rmtree(pair.path(b"dir"))
    site.run(site.task(pair.source, pair.bucket, options=REMOVE, Excludes=excludes))
    assert {"dir/", "dir/1", "dir/2", "dir/3"} <= set(keys(pair.s3, pair.bucket))


def test_an_emptied_source_deletes_nothing(pair):
    before = keys(pair.s3, pair.bucket)
    for name in os.listdir(pair.source):
        path = pair.path(name)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    ended = pair.site.run(pair.task, status="ERROR")
    assert keys(pair.s3, pair.bucket) == before
    assert ended["FilesDeleted"] == 0, shown(ended)
    assert "delet" in ended["Result"]["ErrorDetail"].lower(), ended["Result"]


def test_an_unreadable_file_is_reported_and_the_rest_arrives(site):
    since_ns = time.time_ns()
    source = site.source("unreadable", squashed=True)
    for name in (b"before", b"secret 1", b"secret 2", b"zz after"):
        tree.write(source + b"/" + name, b"content", 0o600 if b"secret" in name else 0o644)
    bucket = site.bucket("unreadable")
    ended = site.run(site.task(source, bucket), status="ERROR")
    detail = ended["Result"]["ErrorDetail"]
    assert "2 failed" in detail and "first: /secret" in detail, detail
    listed = Path(re.search(r"on the agent: (\S+jsonl)", detail).group(1)).read_text()
    assert "/secret 1" in listed and "/secret 2" in listed, listed
    unreadable = [source + b"/secret 1", source + b"/secret 2"]
    Snapshot(source, without=unreadable, since_ns=since_ns).assert_at(site.store.client, bucket)


def test_nothing_below_an_unreadable_directory_is_deleted(site):
    pair = Pair(site, squashed=True, **REMOVE)
    os.remove(pair.path(b"dir/1"))
    os.remove(pair.path(b"z"))
    os.chmod(pair.path(b"dir"), 0o700)
    ended, changed = pair.changed_by_run(status="ERROR")
    left = set(keys(pair.s3, pair.bucket))
    assert {"dir/", "dir/1", "dir/2", "dir/3"} <= left
    assert "z" not in left
    assert "dir" in ended["Result"]["ErrorDetail"], ended["Result"]


def test_overwrite_never_leaves_what_is_there(site):
    pair = Pair(site, OverwriteMode="NEVER", VerifyMode="ONLY_FILES_TRANSFERRED")
    tree.write(pair.path(b"a"), b"a new content")
    tree.write(pair.path(b"new"), b"a new file")
    _, changed = pair.changed_by_run()
    assert changed == {"new"}
    body = pair.s3.get_object(Bucket=pair.bucket, Key="a")["Body"].read()
    assert body == b"content of a"


def test_what_was_changed_at_the_destination_is_mended(pair):
    pair.s3.put_object(Bucket=pair.bucket, Key="a", Body=b"vandalised")
    pair.s3.delete_object(Bucket=pair.bucket, Key="dir/2")
    pair.changed_by_run()
    pair.assert_exact()
