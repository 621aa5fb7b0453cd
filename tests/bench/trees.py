"""What is copied."""

import hashlib
import os

from world import tree

MIB = 1024 * 1024
PER_DIRECTORY = 1000


class Tree:
    """Equal files: a few in one directory, or a thousand in each."""

    def __init__(self, root, count, size):
        self.root = root
        self.count = count
        self.size = size

    @property
    def bytes(self):
        return self.count * self.size

    @property
    def directories(self):
        """With the root."""
        return 1 + (self.count - 1) // PER_DIRECTORY if self.count > PER_DIRECTORY else 1

    def __str__(self):
        for unit, name in ((MIB * 1024, "GiB"), (MIB, "MiB"), (1024, "KiB")):
            if self.size and self.size % unit == 0:
                return f"{self.count:,} × {self.size // unit} {name}"
        return f"{self.count:,} × {self.size} bytes"


def few(below, name, count, size):
    """Large files; every MiB differs."""
    made = Tree(_root(below, name), count, size)
    for number in range(count):
        tree.big(made.root + b"/%d" % number, size)
    return made


def sparse(below, name, count, size):
    """Large files that are one hole each, and so take no room: a server reads zeros."""
    made = Tree(_root(below, name), count, size)
    for number in range(count):
        path = made.root + b"/%d" % number
        with open(path, "wb") as file:
            file.truncate(size)
        os.chmod(path, 0o644)
    return made


def many(below, name, count, size):
    """Small files with names of 20 bytes that have nothing in common, as hashes have not."""
    made = Tree(_root(below, name), count, size)
    for number in range(count):
        if number % PER_DIRECTORY == 0:
            inner = tree.directory(made.root + b"/%03d" % (number // PER_DIRECTORY))
        file = hashlib.sha256(b"%d" % number).hexdigest()[:20].encode()
        tree.write(inner + b"/" + file, tree.noise(number, size))
    return made


def _root(below, name):
    return tree.directory(os.fsencode(below) + b"/" + name.encode())
