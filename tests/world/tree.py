"""Source trees: names, kinds and sizes that have broken copy programs before."""

import os
import random
import stat

PART = 8 * 1024 * 1024
# When old files were written, in seconds.
PAST = 1_000_000_000
ODD_NAMES = {
    "space": b"a name with spaces ",
    "leading space": b" leading",
    "nfc": "caf\u00e9".encode(),
    "nfd": "cafe\u0301".encode(),
    "newline": b"line\nbreak",
    "carriage return": b"carriage\rreturn",
    "both": b"\r\n",
    "0x01": b"control\x01character",
    "delete": b"\x7f",
    "escape": b"\x1b[31mred",
    "u+fffe": "not\ufffea character".encode(),
    "u+ffff": "\uffff".encode(),
    "percent": b"100%",
    "percent encoded": b"%2Fnot%2fa%00slash",
    "plus": b"a+b",
    "hash": b"a#b",
    "ampersand": b"a&b",
    "query": b"a?b=c",
    "backslash": b"back\\slash",
    "quotes": b"\"double\" 'single' `back`",
    "angle": b"<xml>&amp;",
    "asterisk": b"*",
    "tilde": b"~",
    "colon": b"C:",
    "dots": b"...",
    "hidden": b".hidden",
    "trailing dot": b"dot.",
    "dash": b"-rf",
    "emoji": "\U0001f980".encode(),
    "255 ascii": b"n" * 255,
    "255 utf-8": "\u00e9".encode() * 127 + b"x",
    "latin-1": b"caf\xe9",
    "bare 0xff": b"\xff",
    "many 0xff": b"\xff" * 200,
    "cut short": b"\xe2\x82",
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xaf",
    "escape's own": chr(0x10F7FF).encode(),
    "escape's first": chr(0x10F780).encode() + b"\x80",
    "before the escapes": chr(0x10F77F).encode(),
    "last of unicode": chr(0x10FFFF).encode(),
}


def write(path, content=b"", mode=0o644):
    """Writes a file below existing directories; `path` is bytes."""
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def directory(path, mode=0o755):
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    return path


def noise(seed, size):
    """Bytes that do not compress and do not repeat."""
    return random.Random(seed).randbytes(size)


def odd_names(root):
    """A file and a directory with a file for each name."""
    for below in (b"files", b"directories"):
        directory(root + b"/" + below)
    for label, name in ODD_NAMES.items():
        write(root + b"/files/" + name, label.encode())
        inner = directory(root + b"/directories/" + name)
        write(inner + b"/inside", b"in " + label.encode())


def neighbours(root):
    """Names that sort between a directory's name and what is in it."""
    first = directory(root + b"/directory a")
    directory(first + b"/a")
    for name in (b"a/inside", b"a-b", b"a.txt", b"a b", b"a!", b"a\x01", b"a0", b"ab", b"A"):
        write(first + b"/" + name, b"1 " + name)
    second = directory(root + b"/file a")
    for name in (b"a-b", b"a.txt"):
        directory(second + b"/" + name)
        write(second + b"/" + name + b"/inside", b"2 " + name)
    for name in (b"a", b"a b", b"a0"):
        write(second + b"/" + name, b"2 " + name)


def kinds(root):
    """Every kind of entry; answers the paths that cannot be copied."""
    directory(root)
    write(root + b"/empty file")
    directory(root + b"/empty directory")
    directory(root + b"/" + b"/".join(b"%d" % depth for depth in range(40)))
    for name, target in (
        (b"relative", b"empty file"),
        (b"absolute", b"/etc/hostname"),
        (b"dangling", b"nowhere"),
        (b"to directory", b"empty directory"),
        (b"loop", b"loop"),
        (b"odd target", b"caf\xe9\n%41"),
        (b"long target", b"t" * 1000),
    ):
        os.symlink(target, root + b"/" + name)
    write(root + b"/hard link 1", b"one inode, two names")
    os.link(root + b"/hard link 1", root + b"/hard link 2")
    os.mkfifo(root + b"/fifo")
    with open(root + b"/sparse", "wb") as sparse:
        sparse.seek(11 * 1024 * 1024)
        sparse.write(b"island")
        sparse.truncate(23 * 1024 * 1024)
    for mode in (0o000, 0o400, 0o777, 0o4755, 0o2755, 0o1644):
        write(root + b"/mode %o" % mode, b"%o" % mode, mode)
    directory(root + b"/mode 1777", 0o1777)
    for owner in (0, 1000, 4294967294):
        path = root + b"/owner %d" % owner
        write(path, b"owner")
        os.chown(path, owner, owner // 2)
    for mtime in (0, 1, 1_234_567_890_123_456_789, 4_102_444_800_999_999_999):
        path = root + b"/mtime %d" % mtime
        write(path, b"mtime")
        os.utime(path, ns=(mtime, mtime))
    os.utime(root + b"/empty directory", ns=(5, 1_600_000_000_000_000_007))
    os.utime(root + b"/relative", ns=(5, 1_600_000_000_000_000_007), follow_symlinks=False)
    return [root + b"/fifo"]


def sizes(root):
    """Files around every size at which something changes."""
    directory(root)
    mib = 1024 * 1024
    around = [64 * 1024, mib, 5 * mib, PART, 2 * PART]
    for size in [0, 1, 2, *(base + step for base in around for step in (-1, 0, 1))]:
        write(root + b"/%d" % size, noise(size, size))


def many(root, count, per_directory=1000):
    """Small files of 0 to 4 KiB."""
    pool = noise("many", 8192)
    for number in range(count):
        if number % per_directory == 0:
            below = directory(root + b"/%04d" % (number // per_directory))
        start = number % 4096
        write(below + b"/%06d" % number, b"%d" % number + pool[start : start + number * 7 % 4090])


def big(path, size):
    """One file whose every megabyte differs."""
    block = noise("big", 1024 * 1024 - 16)
    with open(path, "wb") as file:
        written = 0
        while written < size:
            chunk = (b"%016d" % written + block)[: size - written]
            file.write(chunk)
            written += len(chunk)
    os.chmod(path, 0o644)


def a_bit_of_everything(root, large=40 * 1024 * 1024):
    """All that a file system can be given over NFS but special files, with old times; a file of `large` bytes."""
    odd_names(root)
    neighbours(root)
    big(root + b"/big", large)
    write(root + b"/empty")
    write(root + b"/set-id", b"x")
    os.chown(root + b"/set-id", 1234, 567)
    os.chmod(root + b"/set-id", 0o6751)
    os.symlink(b"../nowhere \xff", root + b"/link")
    os.symlink(root, root + b"/up")
    os.lchown(root + b"/link", 77, 78)
    os.utime(root + b"/link", ns=(1, PAST * 10**9 + 7), follow_symlinks=False)
    closed = directory(root + b"/closed/empty", 0o700)
    os.chown(closed, 4000, 4001)
    os.chmod(root + b"/closed", 0o2750)
    for number in range(300):
        write(root + b"/closed/%03d" % number, noise(number, 100 * number), 0o600)
    set_times(root)


def set_times(root):
    """Old times everywhere, directories after what is in them."""
    for number, (below, _, files) in enumerate(os.walk(root, topdown=False)):
        for name in files:
            path = below + b"/" + name
            if not os.path.islink(path):
                os.utime(path, ns=(2 * 10**9, (PAST + number) * 10**9 + len(name)))
        os.utime(below, ns=(3 * 10**9, (PAST - number) * 10**9 + 123456789))


def linked(root):
    """Files of several names, one across directories, and a large one in parts."""
    for name in (b"d", b"e", b"z"):
        directory(root + b"/" + name)
    write(root + b"/a", b"first")
    big(root + b"/d/large", 20 * 1024 * 1024)
    write(root + b"/e/x", noise(3, 100_000))
    write(root + b"/single", b"alone")
    for existing, new in [(b"a", b"b"), (b"e/x", b"e/y"), (b"d/large", b"d/two"), (b"d/large", b"z/three")]:
        os.link(root + b"/" + existing, root + b"/" + new)


def devices(root):
    """Two devices and what is no device."""
    os.mknod(root + b"/block", 0o640 | stat.S_IFBLK, os.makedev(8, 17))
    os.mknod(root + b"/char", 0o606 | stat.S_IFCHR, os.makedev(4, 70000))
    os.chown(root + b"/char", 12, 34)
    os.utime(root + b"/block", ns=(5, 10**18 + 7))
    write(root + b"/file", b"a file")


def is_special(mode):
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
