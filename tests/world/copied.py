"""Two trees of files that must be the same, both of this machine, or one of a guest's:

    copied.py ROOT     prints what `exactly` finds there, as a literal of Python
"""

import hashlib
import os
import stat
import sys

STAGING = b".aws-datasync"
# Sockets and named pipes are never copied, devices only where a task asks for them.
NEVER = (stat.S_IFSOCK, stat.S_IFIFO)
DEVICES = (stat.S_IFBLK, stat.S_IFCHR)


def content(path, kind, told):
    if kind == stat.S_IFLNK:
        return os.readlink(path)
    if kind in DEVICES:
        return os.major(told.st_rdev), os.minor(told.st_rdev)
    if kind != stat.S_IFREG:
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entry(path, owners, times_of_links):
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    is_link = kind == stat.S_IFLNK
    return {
        "kind": oct(kind),
        # Links have no permissions of their own.
        "mode": None if is_link else oct(stat.S_IMODE(found.st_mode)),
        "owner": (found.st_uid, found.st_gid) if owners else None,
        "mtime": None if is_link and not times_of_links else found.st_mtime_ns,
        "content": content(path, kind, found),
    }


def entries(root, owners=True, times_of_links=False, devices=False):
    """Everything below a directory, and it, by path: bytes, as names are. nfs-ganesha does not set the
    times of links."""
    found = {b"": entry(root, owners, times_of_links)}
    left = [root]
    while left:
        directory = left.pop()
        for name in os.listdir(directory):
            path = directory + b"/" + name
            kind = stat.S_IFMT(os.lstat(path).st_mode)
            is_left_out = kind in NEVER or (kind in DEVICES and not devices)
            if is_left_out or (directory == root and name == STAGING):
                continue
            found[path[len(root):]] = entry(path, owners, times_of_links)
            if kind == stat.S_IFDIR:
                left.append(path)
    return found


def names_of_files(root):
    """The names of each regular file, below this directory."""
    files = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = directory + b"/" + name
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode):
                files.setdefault(found.st_ino, set()).add(os.path.relpath(path, root))
    return sorted(sorted(names) for names in files.values())


def exactly(root):
    """All that a file system keeps of a tree, which names are one file's too; and whether the agent left
    a temporary directory there."""
    found = entries(root, times_of_links=True, devices=True)
    return found, names_of_files(root), STAGING in os.listdir(root)


def assert_equal(wanted, found):
    """Of what `entries` finds, with the first difference."""
    for path in sorted(wanted.keys() | found.keys()):
        assert wanted.get(path) == found.get(path), (path, wanted.get(path), found.get(path))


def assert_exactly(wanted, found):
    """Of what `exactly` finds."""
    assert_equal(wanted[0], found[0])
    assert wanted[1:] == found[1:]


def assert_same(source, destination, owners=True):
    """Bytes, types, permissions, owners, times to the nanosecond, those of directories too, and
    nothing else; no temporary file is left."""
    assert_equal(entries(source, owners), entries(destination, owners))
    assert STAGING not in os.listdir(destination)


if __name__ == "__main__":
    print(exactly(os.fsencode(sys.argv[1])))
