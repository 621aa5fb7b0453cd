"""What a destination must hold for a source tree: computed here a second time, from the documents
and not from the agent's code, and compared byte by byte and key by key."""

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

ESCAPE = 0x10F700
CHUNK = 1024 * 1024
DIFFERENCES_SHOWN = 25


def segment(name):
    """The key segment of a name (docs/semantics.md, names)."""
    escaped = []
    # An escape's own characters, found in a valid name, are escaped byte by byte.
    for character in name.decode("utf-8", "surrogateescape"):
        if 0x10F780 <= ord(character) <= 0x10F7FF:
            escaped += [chr(ESCAPE + byte) for byte in character.encode()]
        elif 0xDC80 <= ord(character) <= 0xDCFF:
            escaped.append(chr(ESCAPE + ord(character) - 0xDC00))
        else:
            escaped.append(character)
    return "".join(escaped)


@dataclass
class Entry:
    """One object as it must be."""

    path: bytes
    size: int
    sha256: str
    metadata: dict
    atime_ns: int


class Snapshot:
    """A source tree as it is now, but for the paths of `without` and what is below them."""

    def __init__(self, root, prefix="", without=(), since_ns=None):
        self.prefix = prefix
        self.without = without
        self.entries = {}
        self.special = []
        # Access times from then on may have been copied: by an earlier run, if it is given.
        self.since_ns = time.time_ns() if since_ns is None else since_ns
        if prefix:
            self._add(root, prefix, os.lstat(root))
        self._walk(root, prefix)

    def _walk(self, path, prefix):
        with os.scandir(path) as found:
            for item in found:
                if item.path in self.without:
                    continue
                status = item.stat(follow_symlinks=False)
                key = prefix + segment(item.name)
                if stat.S_ISDIR(status.st_mode):
                    self._add(item.path, key + "/", status)
                    self._walk(item.path, key + "/")
                elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                    self._add(item.path, key, status)
                else:
                    self.special.append(item.path)

    def _add(self, path, key, status):
        size, sha256 = _content(path, status)
        self.entries[key] = Entry(
            path,
            size,
            sha256,
            {
                "file-owner": str(status.st_uid),
                "file-group": str(status.st_gid),
                "file-permissions": f"{status.st_mode:07o}",
                "file-mtime": f"{status.st_mtime_ns}ns",
                "user-agent": "aws-datasync",
            },
            status.st_atime_ns,
        )

    def differences(self, s3, bucket):
        """What is wrong at the destination, in words; empty if nothing is."""
        found = set(keys(s3, bucket, self.prefix))
        wanted = set(self.entries)
        wrong = [f"missing: {key!r}" for key in sorted(wanted - found)]
        wrong += [f"not in the source: {key!r}" for key in sorted(found - wanted)]
        with ThreadPoolExecutor(4) as pool:
            present = sorted(wanted & found)
            for differences in pool.map(lambda key: self._compare(s3, bucket, key), present):
                wrong += differences
        return wrong

    def assert_at(self, s3, bucket):
        """Fails with the first differences, if there are any."""
        wrong = self.differences(s3, bucket)
        shown = "\n  ".join(wrong[:DIFFERENCES_SHOWN])
        assert not wrong, f"{len(wrong)} differences at {bucket}/{self.prefix}:\n  {shown}"

    def _compare(self, s3, bucket, key):
        entry = self.entries[key]
        answer = s3.get_object(Bucket=bucket, Key=key)
        digest, size = hashlib.sha256(), 0
        for chunk in answer["Body"].iter_chunks(CHUNK):
            digest.update(chunk)
            size += len(chunk)
        if size != entry.size:
            yield f"{key!r}: {size} bytes instead of {entry.size}"
        elif digest.hexdigest() != entry.sha256:
            yield f"{key!r}: same size, other content"
        metadata = dict(answer["Metadata"])
        atime = metadata.pop("file-atime", "absent")
        if metadata != entry.metadata:
            yield f"{key!r}: metadata {metadata} instead of {entry.metadata}"
        # Reading sets it, so the tree's own time or one since then.
        number = int(atime[:-2]) if atime.endswith("ns") and atime[:-2].isdigit() else None
        if number is None or not (
            number == entry.atime_ns or self.since_ns - 10**9 <= number <= time.time_ns()
        ):
            yield f"{key!r}: file-atime {atime} instead of {entry.atime_ns}ns or later"


def _content(path, status):
    digest = hashlib.sha256()
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(path)
        digest.update(target)
        return len(target), digest.hexdigest()
    if stat.S_ISDIR(status.st_mode):
        return 0, digest.hexdigest()
    size = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOATIME)
    with open(descriptor, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def keys(s3, bucket, prefix=""):
    """All keys below a prefix, in the order of the listing."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def open_uploads(s3, bucket):
    """Keys with a multipart upload that was neither completed nor aborted."""
    answer = s3.list_multipart_uploads(Bucket=bucket)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


def versions(s3, bucket, prefix=""):
    """ETag and time of every object: what changes when something is written again."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        item["Key"]: (item["ETag"], item["LastModified"])
        for page in pages
        for item in page.get("Contents", [])
    }
