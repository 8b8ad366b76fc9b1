"""Render the monthly report as HTML. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from petpark.reports.facts import CameraMonth, MonthFacts, Share, Unknown, Why
from petpark.reports.pages import charts
from petpark.reports.pages.month_rows import MonthRows
from petpark.reports.pages.rendering import estimate, interval, render, why
from registry.intervals import Interval

if TYPE_CHECKING:
    from petpark.reports.pages.texts import Texts

CAMERAS: Final = 12
"""Maximum numbers of rows, so that the report fits three A4 pages. Totals include everything."""

_DASH: Final = "–"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure at the top; if `value` is None it is unknown, and `notes` have the reason."""

    what: str
    value: str | None
    notes: Sequence[str]
    interval: Interval | None = None
    share: float | None = None


def figures(facts: MonthFacts, t: Texts) -> list[Figure]:
    """The five figures at the top."""
    return _Month(facts, t).figures()


def month_page(facts: MonthFacts, t: Texts) -> str:
    """Render the monthly report."""
    shown, rows = _Month(facts, t), MonthRows(facts, t)
    return render(
        "month.html.j2",
        t,
        stack=facts.stack,
        written=t.full(facts.written_at, facts.month.zone),
        month=t.month(facts.month),
        partial=t("month.partial", at=t.moment(facts.written_at, facts.month.zone)) if facts.partial else "",
        figures=shown.figures(),
        visits=shown.visits_chart(),
        visits_legend=shown.visits_legend(),
        visits_notes=shown.visits_notes(),
        cameras=shown.cameras(),
        availability_sentence=shown.availability_sentence(),
        availability=shown.availability_chart(),
        availability_legend=[
            ("kept", t("month.legend-kept")),
            ("missed", t("month.legend-missed")),
            ("later", t("month.legend-none")),
        ],
        accuracy_sentences=shown.accuracy_sentences(),
        accuracy=shown.accuracy_chart(),
        drift_sentence=rows.drift_sentence(),
        drift=rows.alarms(),
        drift_more=rows.alarms_more(),
        changes=rows.changes(),
        changes_more=rows.changes_more(),
        costs=rows.costs(),
        costs_total=rows.usd(facts.costs.total),
        costs_note=rows.costs_note(),
    )


class _Month:
    """Texts of the template."""

    def __init__(self, facts: MonthFacts, t: Texts) -> None:
        self.facts = facts
        self.t = t
        self.named = facts.classes[: len(charts.SERIES) - 1]
        """Classes with a colour of their own; the others share the last one."""

    def figures(self) -> list[Figure]:
        """The five figures at the top."""
        facts, t = self.facts, self.t
        visits, total = facts.visits, facts.costs.total
        return [
            Figure(what=t("month.visits"), value=None, notes=[why(self.t, visits)])
            if isinstance(visits, Unknown)
            else Figure(what=t("month.visits"), value=t.number(visits), notes=[self.class_counts(self.everyone())]),
            self._availability_figure(),
            self._accuracy_figure(),
            Figure(what=t("month.drift-figure"), value=None, notes=[why(self.t, facts.drift)])
            if isinstance(facts.drift, Unknown)
            else Figure(
                what=t("month.drift-figure"),
                value=t.number(len(facts.drift)),
                notes=[t.plural("month.windows", facts.drift_windows)],
            ),
            Figure(what=t("month.cost"), value=None, notes=[why(self.t, total)])
            if isinstance(total, Unknown)
            else Figure(what=t("month.cost"), value=t.usd(total), notes=[t("month.list-prices")]),
        ]

    def _availability_figure(self) -> Figure:
        t, found = self.t, self.facts.availability
        if isinstance(found, Unknown) or found.all.share is None:
            unknown = found if isinstance(found, Unknown) else Unknown(why=Why.NO_REQUESTS)
            return Figure(what=t("month.availability"), value=None, notes=[why(self.t, unknown)])
        share = found.all.share
        verdict = t("month.kept") if found.kept(found.all) else t("month.missed")
        notes = [
            f"{t('month.objective', objective=self.objective(found.objective))}: {verdict}",
            t.plural("month.requests", found.all.total),
        ]
        return Figure(what=t("month.availability"), value=t.percent(share, 2), notes=notes)

    def _accuracy_figure(self) -> Figure:
        """Accuracy from labels if there are any, else the estimate, with a note which one it is."""
        t, labelled, estimated = self.t, self.facts.labelled, self.facts.estimate
        if not isinstance(labelled, Unknown):
            share = labelled.month
            notes = [interval(t, share), t.plural("month.labels", share.photos)]
            what = t("month.from-labels")
        elif not isinstance(estimated, Unknown):
            share, notes, what = estimated, [interval(t, estimated), why(self.t, labelled)], t("month.estimate")
            what = what[:1].upper() + what[1:]
        else:
            return Figure(what=t("month.accuracy"), value=None, notes=[why(self.t, labelled), why(self.t, estimated)])
        return Figure(what=what, value=t.percent(share.value), notes=notes, interval=share.interval, share=share.value)

    def everyone(self) -> Mapping[str, int]:
        """Visits of all cameras by class."""
        found: dict[str, int] = {}
        for camera in self.facts.cameras:
            for label, count in camera.classes.items():
                found[label] = found.get(label, 0) + count
        return found

    def class_counts(self, classes: Mapping[str, int]) -> str:
        """The most frequent classes with their counts, and the rest together."""
        ordered = sorted(classes, key=lambda label: (-classes[label], label))
        parts = [(label, classes[label]) for label in ordered[: len(charts.SERIES) - 1]]
        if rest := sum(classes[label] for label in ordered[len(charts.SERIES) - 1 :]):
            parts.append((self.t("month.others"), rest))
        return ", ".join(self.t("month.visits-of", label=label, n=self.t.number(n)) for label, n in parts)

    def visits_chart(self) -> charts.Chart | None:
        """Chart of visits by day and class; None if there are none."""
        facts, t = self.facts, self.t
        if isinstance(facts.visits, Unknown):
            return None
        by_day = self._by_day()
        days = facts.month.days
        totals = {day: sum(part.get(day, 0) for part in by_day) for day in days}
        busiest = max(days, key=lambda day: totals[day])
        label = t("month.visits-chart", total=t.number(facts.visits), top=t.number(totals[busiest]), day=t.day(busiest))
        until = facts.month.day_of(min(facts.written_at, facts.month.end))
        return charts.visits(days, by_day, label, t.day, until)

    def _by_day(self) -> list[Mapping[date, int]]:
        """Visits by day of each class that has a colour, and of all others."""
        parts: list[dict[date, int]] = [{} for _ in (*self.named, "")]
        for camera in self.facts.cameras:
            for (label, day), count in camera.daily.items():
                part = parts[self.named.index(label) if label in self.named else -1]
                part[day] = part.get(day, 0) + count
        return list(parts)

    def visits_legend(self) -> list[tuple[str, str]]:
        """Colour and class."""
        found = list[tuple[str, str]](zip(charts.SERIES, self.named, strict=False))
        others = len(self.facts.classes) > len(self.named)
        return [*found, (charts.SERIES[-1], self.t("month.others"))] if others else found

    def visits_notes(self) -> list[str]:
        """Notes on uncounted events."""
        facts, t = self.facts, self.t
        notes: list[str] = []
        if isinstance(facts.visits, Unknown):
            notes.append(t("month.visits-unknown", why=why(self.t, facts.visits)))
        if facts.unreadable_events:
            notes.append(t.plural("month.unreadable", facts.unreadable_events))
        return notes

    def cameras(self) -> list[dict[str, str]]:
        """A row for each camera, those with the most visits first."""
        ordered = sorted(self.facts.cameras, key=lambda each: (-each.total, each.name))
        fits = len(ordered) <= CAMERAS
        shown, rest = (ordered, []) if fits else (ordered[: CAMERAS - 1], ordered[CAMERAS - 1 :])
        rows = [self._camera(each) for each in shown]
        if rest:
            photos = [each.photos for each in rest if each.photos is not None]
            alarms = [each.alarms for each in rest if each.alarms is not None]
            rows.append(
                {
                    "name": self.t("month.more-cameras", n=len(rest)),
                    "visits": self.t.number(sum(each.total for each in rest)),
                    "classes": "",
                    "busiest": "",
                    "photos": self.t.number(sum(photos)) if photos else _DASH,
                    "estimate": "",
                    "alarms": self.t.number(sum(alarms)) if alarms else _DASH,
                }
            )
        return rows

    def _camera(self, camera: CameraMonth) -> dict[str, str]:
        t, busiest = self.t, max(camera.visits, key=lambda day: (camera.visits[day], day), default=None)
        return {
            "name": camera.name,
            "visits": t.number(camera.total) if camera.total else _DASH,
            "classes": self.class_counts(camera.classes) or _DASH,
            "busiest": _DASH if busiest is None else f"{t.day(busiest)} ({t.number(camera.visits[busiest])})",
            "photos": _DASH if camera.photos is None else t.number(camera.photos),
            "estimate": estimate(t, camera.estimate),
            "alarms": _DASH if camera.alarms is None else t.number(camera.alarms),
        }

    def availability_sentence(self) -> str:
        """A sentence on availability."""
        t, found = self.t, self.facts.availability
        if isinstance(found, Unknown) or found.all.share is None:
            unknown = found if isinstance(found, Unknown) else Unknown(why=Why.NO_REQUESTS)
            return t("month.availability-unknown", why=why(self.t, unknown))
        share = found.all.share
        return t(
            "month.available",
            share=t.percent(share, 3),
            total=t.number(found.all.total),
            bad=t.number(found.all.bad),
            objective=self.objective(found.objective),
            verdict=t("month.kept") if found.kept(found.all) else t("month.missed"),
        )

    def availability_chart(self) -> charts.Chart | None:
        """Chart of days; None without data."""
        t, found = self.t, self.facts.availability
        if isinstance(found, Unknown) or found.all.share is None:
            return None
        days = self.facts.month.days
        kept = {day: found.kept(found.days[day]) for day in days if day in found.days and found.days[day].total}
        missed = sum(not each for each in kept.values())
        label = t("month.availability-chart", kept=len(kept) - missed, missed=missed, rest=len(days) - len(kept))
        return charts.availability(days, kept, label, t.day)

    def accuracy_sentences(self) -> list[str]:
        """From labels, and without."""
        t, labelled, estimated = self.t, self.facts.labelled, self.facts.estimate

        def sentence(name: str, share: Share | Unknown) -> str:
            if isinstance(share, Unknown):
                return t(f"month.{name}-unknown", why=why(self.t, share))
            low, high = (t.percent(bound) for bound in share.interval)
            return t(f"month.{name}", share=t.percent(share.value), low=low, high=high, n=t.number(share.photos))

        return [
            sentence("labelled", labelled if isinstance(labelled, Unknown) else labelled.month),
            sentence("estimated", estimated),
        ]

    def accuracy_chart(self) -> charts.Chart | None:
        """Accuracy from labels, by period."""
        t, labelled = self.t, self.facts.labelled
        if isinstance(labelled, Unknown) or not labelled.periods:
            return None
        shares = [(each.period, each.accuracy) for each in labelled.periods]
        told = "; ".join(f"{name}: {estimate(t, share)}" for name, share in shares)
        return charts.intervals(shares, f"{t('month.accuracy-chart')}: {told}", lambda share: t.percent(share, 0))

    def objective(self, text: str) -> str:
        """An objective with this language's decimal sign."""
        return text.replace(".", self.t.named["format.decimal"])
