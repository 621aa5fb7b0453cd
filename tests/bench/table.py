"""Markdown for docs/benchmarks.md."""

BEGIN = "<!-- written by tests/bench/run: begin -->"
END = "<!-- written by tests/bench/run: end -->"


def table(head, rows):
    """`head` and each row are sequences of cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def measures(outcomes):
    """All measures of all rows."""
    rows = [
        [measure.what, measure.reached, measure.required, measure.verdict]
        for outcome in outcomes
        for measure in outcome.measures
    ]
    return table(["measure", "reached", "required", ""], rows)


def write_between_markers(path, text):
    """Replaces what stands between the markers; a file without them is an error."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} lacks the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
