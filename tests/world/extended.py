"""Access control lists and extended attributes of files, by the kernel of whoever runs this: tests run
it in a guest, where no tools for them are.

    extended.py make ROOT     makes a tree with some of all kinds
    extended.py show ROOT     prints what the tree has, as JSON
"""

import hashlib
import json
import os
import stat
import struct
import sys

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
# acl_tag_t and the version, of Linux' include/uapi/linux/posix_acl_xattr.h.
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
VERSION = 2
NOBODY = 0xFFFFFFFF
BIG = 3000


def acl(*entries):
    packed = [struct.pack("<HHI", *entry) for entry in entries]
    return struct.pack("<I", VERSION) + b"".join(packed)


def shared(user, permissions):
    """Of a file that one more user may use, and a group may read."""
    return acl(
        (USER_OBJ, 6, NOBODY), (USER, permissions, user), (GROUP_OBJ, 4, NOBODY), (GROUP, 4, 2000),
        (MASK, 6, NOBODY), (OTHER, 0, NOBODY),
    )


def effective(packed):
    """Of every entry what its mask leaves of it: the protocol tells no more (RFC 8881 has no masks)."""
    entries = list(struct.iter_unpack("<HHI", packed[4:]))
    mask = next((permissions for tag, permissions, _ in entries if tag == MASK), 7)
    masked = (USER, GROUP_OBJ, GROUP)
    return [
        [tag, permissions & mask if tag in masked else permissions, who]
        for tag, permissions, who in entries
    ]


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def make(root):
    os.makedirs(root + "/team/below")
    write(root + "/plain", b"plain")
    write(root + "/shared", b"shared")
    os.setxattr(root + "/shared", ACCESS, shared(1000, 6))
    write(root + "/narrow", b"entries allow less than the mask")
    os.setxattr(root + "/narrow", ACCESS, shared(1001, 4))
    write(root + "/coloured", b"coloured")
    os.setxattr(root + "/coloured", "user.colour", b"blue")
    os.setxattr(root + "/coloured", b"user.odd \xff,=:%", bytes(range(256)))
    os.setxattr(root + "/coloured", "user.empty", b"")
    with open(root + "/large", "wb") as file:
        for number in range(20):
            file.write(bytes([number]) * 1024 * 1024)
    os.setxattr(root + "/large", ACCESS, shared(1002, 4))
    os.setxattr(root + "/large", "user.kind", b"large")
    inherited = acl(
        (USER_OBJ, 7, NOBODY), (USER, 5, 1000), (GROUP_OBJ, 5, NOBODY), (MASK, 5, NOBODY), (OTHER, 0, NOBODY)
    )
    os.setxattr(root + "/team", DEFAULT, inherited)
    os.setxattr(root + "/team", "user.team", b"yes")
    write(root + "/team/inside", b"made in a directory whose entries inherit")
    os.mkdir(root + "/team/inner")
    os.symlink("../shared", root + "/team/link")
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(f"{directory}/{name}", ns=(10**18, 10**18 + len(name)), follow_symlinks=False)
        os.utime(directory, ns=(10**18, 10**18))


def shown(path):
    told = os.lstat(path)
    found = {"mode": oct(told.st_mode), "owner": [told.st_uid, told.st_gid]}
    if stat.S_ISLNK(told.st_mode):
        return found | {"target": os.readlink(path)}
    found["mtime"] = told.st_mtime_ns
    for name in os.listxattr(path):
        if name in (ACCESS, DEFAULT):
            found[name] = effective(os.getxattr(path, name))
        elif name.startswith("user."):
            found[os.fsencode(name).hex()] = os.getxattr(path, name).hex()
    if stat.S_ISREG(told.st_mode):
        with open(path, "rb") as file:
            found["content"] = hash_of(file.read())
    return found


def hash_of(content):
    return hashlib.sha256(content).hexdigest()


def show(root):
    found = {".": shown(root)}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = f"{directory}/{name}"
            found[os.path.relpath(path, root)] = shown(path)
    print(json.dumps(found, indent=1, sort_keys=True))


def main(verb, root):
    {"make": make, "show": show}[verb](root)


if __name__ == "__main__":
    main(*sys.argv[1:])
