"""What a row reached, and what it must reach."""

from dataclasses import dataclass, field


@dataclass
class Measure:
    """One line of the table of measures. `holds` is None where nothing was measured."""

    what: str
    reached: str
    required: str
    holds: bool | None

    @property
    def verdict(self):
        return {True: "reached", False: "**missed**", None: "not measured"}[self.holds]


@dataclass
class Outcome:
    """What a row hands in: its measures, and tables and sentences in Markdown."""

    measures: list
    paragraphs: list = field(default_factory=list)
    failed: bool = False


def at_least(what, value, bound, unit="", digits=2):
    return Measure(what, f"{value:,.{digits}f}{unit}", f"≥ {bound:,g}{unit}", value >= bound)


def at_most(what, value, bound, unit="", digits=2):
    return Measure(what, f"{value:,.{digits}f}{unit}", f"≤ {bound:,g}{unit}", value <= bound)


def not_measured(what, why):
    return Measure(what, why, "", None)
