"""Rows and sentences of the report on drift, changes and cost. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from petpark.reports.facts import Change, ChangeKind, MonthFacts, Unknown
from petpark.reports.pages.rendering import why
from registry.identity import person, without_arns

if TYPE_CHECKING:
    from petpark.reports.pages.texts import Texts

ALARMS: Final = 8
CHANGES: Final = 14
LONGEST_WHY: Final = 160

_INSTANCE: Final = re.compile(r"i-[0-9a-f]{8,17}")


class MonthRows:
    """Texts of the template on drift, changes and cost."""

    def __init__(self, facts: MonthFacts, t: Texts) -> None:
        self.facts = facts
        self.t = t

    def drift_sentence(self) -> str:
        """How often photos differed."""
        t, found = self.t, self.facts.drift
        if isinstance(found, Unknown):
            return t("month.drift-unknown", why=why(self.t, found))
        windows = t.plural("month.windows", self.facts.drift_windows)
        if not found:
            return t("month.drift-none", windows=windows)
        name = f"month.drift-some.{'one' if len(found) == 1 else 'other'}"
        return t(name, n=t.number(len(found)), windows=windows)

    def alarms(self) -> list[dict[str, str]]:
        """The latest alarms, in chronological order."""
        found = self.facts.drift
        if isinstance(found, Unknown):
            return []
        newest = sorted(found, key=lambda each: (each.start, each.camera))[-ALARMS:]
        zone = self.facts.month.zone
        return [
            {
                "camera": each.camera,
                "start": self.t.moment(each.start, zone),
                "end": self.t.moment(each.end, zone),
                "tests": ", ".join(self.t(f"test.{test}") for test in each.tests),
            }
            for each in newest
        ]

    def alarms_more(self) -> str:
        """How many are left out."""
        found = self.facts.drift
        left = 0 if isinstance(found, Unknown) else len(found) - ALARMS
        return self.t("month.drift-more", n=self.t.number(left)) if left > 0 else ""

    def changes(self) -> list[dict[str, str]]:
        """The latest changes, in chronological order."""
        newest = sorted(self.facts.changes, key=lambda each: each.at)[-CHANGES:]
        return [
            {
                "at": self.t.moment(each.at, self.facts.month.zone),
                "what": self._what(each),
                "who": self._who(each.by),
                "why": _short(without_arns(each.why)),
            }
            for each in newest
        ]

    def _who(self, by: str) -> str:
        """A person's name, or the pipeline for a job's instance."""
        name = person(by)
        return self.t("month.nobody") if not name or _INSTANCE.fullmatch(name) else name

    def _what(self, change: Change) -> str:
        first = change.kind is ChangeKind.PROMOTED and change.before is None
        outcome = change.outcome
        if change.kind is ChangeKind.EXPERIMENT_ENDED:
            outcome = self.t(f"outcome.{outcome}")
        return self.t(
            "change.first" if first else f"change.{change.kind}",
            channel=change.channel,
            version=change.version,
            before=change.before,
            outcome=outcome,
        )

    def changes_more(self) -> str:
        """How many are left out."""
        count = len(self.facts.changes)
        return self.t("month.changes-more", n=CHANGES, all=self.t.number(count)) if count > CHANGES else ""

    def costs(self) -> list[dict[str, str]]:
        """A row for each part."""
        t, found = self.t, self.facts.costs
        if isinstance(found.stacks, Unknown):
            rows = [{"part": t("cost.stacks"), "usd": self.usd(found.stacks)}]
        else:
            rows = [{"part": t("cost.stack", stack=name), "usd": self.usd(usd)} for name, usd in found.stacks.items()]
        rows.append({"part": t("cost.telemetry"), "usd": self.usd(found.telemetry)})
        return [*rows, {"part": t("cost.jobs"), "usd": self.usd(found.jobs)}]

    def usd(self, value: float | Unknown) -> str:
        """A cost, or "unknown" with the reason."""
        if isinstance(value, Unknown):
            return f"{self.t('unknown')} ({why(self.t, value)})"
        return self.t.number(value, 2)

    def costs_note(self) -> str:
        """Note on the prices."""
        date_ = self.facts.costs.prices_of
        return self.t("month.cost-note", date=date_) if date_ else self.t("month.cost-note-undated")


def _short(text: str) -> str:
    """A reason, shortened to fit a row."""
    return text if len(text) <= LONGEST_WHY else f"{text[: LONGEST_WHY - 1]}…"
