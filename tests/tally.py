"""Reads what a test runner left and prints `passed failed skipped`, then one line per reason.

usage: tally.py (nextest|libtest|junit FILE)…
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def nextest(path):
    """All summary lines of cargo-nextest; tests that a filter left out are not skips."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", open(path, errors="replace").read())
    found = re.findall(r"^\s*Summary \[.*?\].*?tests? run: (.*)$", text, re.M)
    if not found:
        return 0, 1, 0, ["no summary: the tests did not run to their end"]
    counts = Counter()
    for summary in found:
        for number, word in re.findall(r"(\d+) (passed|failed|timed out|skipped)", summary):
            counts[word] += int(number)
    return counts["passed"], counts["failed"] + counts["timed out"], 0, []


def libtest(path):
    """All `test result:` lines of `cargo test`."""
    text = open(path, errors="replace").read()
    found = re.findall(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored", text, re.M)
    if not found:
        return 0, 1, 0, ["no result line: the tests did not run to their end"]
    sums = [sum(int(row[column]) for row in found) for column in range(2)]
    return sums[0], sums[1], 0, []


def junit(path):
    """The XML report of pytest."""
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return 0, 1, 0, [f"no report: {error}"]
    failed = skipped = 0
    reasons = Counter()
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
            reasons[case.find("skipped").get("message", "no reason given")] += 1
    if not cases:
        return 0, 1, 0, ["no test was found"]
    lines = [f"{count} x {reason}" for reason, count in sorted(reasons.items())]
    return len(cases) - failed - skipped, failed, skipped, lines


def main():
    readers = {"nextest": nextest, "libtest": libtest, "junit": junit}
    arguments = sys.argv[1:]
    results = [readers[kind](path) for kind, path in zip(arguments[::2], arguments[1::2])]
    print(*(sum(result[column] for result in results) for column in range(3)))
    for *_, reasons in results:
        print(*reasons, sep="\n", end="\n" if reasons else "")


if __name__ == "__main__":
    main()
