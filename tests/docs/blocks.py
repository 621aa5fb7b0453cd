"""Blocks of Markdown files that somebody may want to use as they stand.

    ```sh run            run by the tests, in order, in one shell for each document
    ```sh run until="…"  stays in the background; the next block waits for this text in its output
    ```sh no-run         not run; its first line is a comment that says why
    ```hcl no-run        likewise; nothing here runs it. So is powershell
    ```toml              read by the program that its first line names: # agent.toml or # control.toml
    ```yaml              parsed; one that begins with #cloud-config is a seed, which the agent reads
    ```json              parsed
    ```                  text that nobody runs: a block without a word
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

LANGUAGES = ("sh", "hcl", "powershell", "toml", "yaml", "json")
FENCE = re.compile(
    rf"^(?P<indent> *)```(?P<language>{'|'.join(LANGUAGES)})\b(?P<rest>[^\n]*)\n(?P<body>.*?)"
    r"^(?P=indent)```$",
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
    def is_seed(self):
        """Whether it is a file of settings for the first boot."""
        return self.language == "yaml" and self.body.startswith("#cloud-config\n")

    def unread(self):
        """Why a block of YAML or JSON cannot be parsed, if so."""
        try:
            value = yaml.safe_load(self.body) if self.language == "yaml" else json.loads(self.body)
        except (yaml.YAMLError, json.JSONDecodeError) as error:
            return " ".join(str(error).split())
        return None if isinstance(value, dict | list) else "nothing is in it"

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
        if self.language in ("yaml", "json"):
            unread = self.unread()
            return f"{where}: not {self.language}: {unread}" if unread else None
        if self.words.strip() != "no-run":
            marks = f"`{self.language} no-run`"
            if self.language == "sh":
                marks = f"`sh run` or {marks}"
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
    """Lines that open a fence in another language or spelling, which nobody would look at."""
    pattern = re.compile(rf"^ *```(?!(?:{'|'.join(LANGUAGES)})\b)\S[^\n]*$", re.M)
    text = path.read_text()
    return [f"{path}:{text.count(chr(10), 0, m.start()) + 1}" for m in pattern.finditer(text)]
