"""Two trees of files that must be the same."""

import hashlib
import os
import stat

STAGING = b".aws-datasync"
# Never copied: sockets, named pipes, devices.
LEFT_OUT = (stat.S_IFSOCK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFCHR)


def content(path, kind):
    if kind == stat.S_IFLNK:
        return os.readlink(path)
    if kind != stat.S_IFREG:
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entry(path, owners):
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    return {
        "kind": oct(kind),
        # Links have no permissions of their own.
        "mode": None if kind == stat.S_IFLNK else oct(stat.S_IMODE(found.st_mode)),
        "owner": (found.st_uid, found.st_gid) if owners else None,
        # Nor does nfs-ganesha set their times.
        "mtime": None if kind == stat.S_IFLNK else found.st_mtime_ns,
        "content": content(path, kind),
    }


def entries(root, owners=True):
    """Everything below a directory, and it, by path: bytes, as names are."""
    found = {b"": entry(root, owners)}
    left = [root]
    while left:
        directory = left.pop()
        for name in os.listdir(directory):
            path = directory + b"/" + name
            kind = stat.S_IFMT(os.lstat(path).st_mode)
            if kind in LEFT_OUT or (directory == root and name == STAGING):
                continue
            found[path[len(root):]] = entry(path, owners)
            if kind == stat.S_IFDIR:
                left.append(path)
    return found


def assert_same(source, destination, owners=True):
    """Bytes, types, permissions, owners, times to the nanosecond, those of directories too, and
    nothing else; no temporary file is left."""
    wanted, found = entries(source, owners), entries(destination, owners)
    for path in sorted(wanted.keys() | found.keys()):
        assert wanted.get(path) == found.get(path), (path, wanted.get(path), found.get(path))
    assert STAGING not in os.listdir(destination)
