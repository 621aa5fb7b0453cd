"""Shell blocks of Markdown files.

    ```sh run            run by the tests, in order, in one shell for each document
    ```sh run until="…"  stays in the background; the next block waits for this text in its output
    ```sh no-run         not run; its first line is a comment that says why
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```sh\b(?P<rest>[^\n]*)\n(?P<body>.*?)^(?P=indent)```$", re.M | re.S)


@dataclass
class Block:
    """One shell block."""

    path: Path
    line: int
    words: str
    body: str

    @property
    def runs(self):
        return self.words.split()[:1] == ["run"]

    @property
    def until(self):
        found = re.search(r'until="([^"]*)"', self.words)
        return found.group(1) if found else None

    def fault(self):
        """What is wrong with how it is marked, if anything."""
        where = f"{self.path}:{self.line}"
        if self.runs:
            return None
        if self.words.strip() != "no-run":
            return f"{where}: mark the block `sh run` or `sh no-run`"
        if not re.match(r"\s*# *\S", self.body):
            return f"{where}: a block that is not run begins with a comment that says why"
        return None


def blocks(path):
    """All shell blocks of a document, in order."""
    text = path.read_text()
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        indent = match["indent"]
        body = re.sub(rf"^{indent}", "", match["body"], flags=re.M)
        found.append(Block(path, line, match["rest"].strip(), body))
    return found


def unmarked(path):
    """Lines that open a fence in another spelling of a shell, which nobody would run."""
    pattern = re.compile(r"^ *```(bash|shell|console|shell-session|zsh) *$", re.M)
    text = path.read_text()
    return [f"{path}:{text.count(chr(10), 0, m.start()) + 1}" for m in pattern.finditer(text)]
