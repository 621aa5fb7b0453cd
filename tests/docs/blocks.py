"""Blocks of Markdown files that somebody may want to use as they stand.

    ```sh run            run by the tests, in order, in one shell for each document
    ```sh run until="…"  stays in the background; the next block waits for this text in its output
    ```sh no-run         not run; its first line is a comment that says why
    ```hcl no-run        likewise; nothing here runs it
    ```toml              read by the program that its first line names: # agent.toml or # control.toml
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>sh|hcl|toml)\b(?P<rest>[^\n]*)\n(?P<body>.*?)^(?P=indent)```$",
    re.M | re.S,
)


@dataclass
class Block:
    """One block."""

    path: Path
    line: int
    language: str
    words: str
    body: str

    @property
    def runs(self):
        return self.language == "sh" and self.words.split()[:1] == ["run"]

    @property
    def program(self):
        """Whose configuration a block of TOML is."""
        found = re.match(r"# (agent|control)\.toml$", self.body, re.M)
        return f"datasync-{found.group(1)}" if self.language == "toml" and found else None

    @property
    def until(self):
        found = re.search(r'until="([^"]*)"', self.words)
        return found.group(1) if found else None

    def fault(self):
        """What is wrong with how it is marked, if anything."""
        where = f"{self.path}:{self.line}"
        if self.runs or self.program:
            return None
        if self.language == "toml":
            return f"{where}: the first line names the file, `# agent.toml` or `# control.toml`"
        if self.words.strip() != "no-run":
            marks = "`sh run` or `sh no-run`" if self.language == "sh" else "`hcl no-run`"
            return f"{where}: mark the block {marks}"
        if not re.match(r"\s*# *\S", self.body):
            return f"{where}: a block that is not run begins with a comment that says why"
        return None


def blocks(path):
    """All of a document, in order."""
    text = path.read_text()
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        indent = match["indent"]
        body = re.sub(rf"^{indent}", "", match["body"], flags=re.M)
        found.append(Block(path, line, match["language"], match["rest"].strip(), body))
    return found


def unmarked(path):
    """Lines that open a fence in another spelling of a language, which nobody would look at."""
    pattern = re.compile(
        r"^ *```(bash|shell|console|shell-session|zsh|terraform|tf|TOML|ini)\b[^\n]*$", re.M
    )
    text = path.read_text()
    return [f"{path}:{text.count(chr(10), 0, m.start()) + 1}" for m in pattern.finditer(text)]
