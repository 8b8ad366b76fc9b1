"""Render the monitoring page as HTML. Pure; all text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from petpark.reports.facts import Share, Unknown, Why
from petpark.reports.monitoring_facts import TESTS, CameraMonitored, MonitoringFacts, TestedWindow
from petpark.reports.pages import charts
from petpark.reports.pages.rendering import estimate, render
from registry.identity import person

if TYPE_CHECKING:
    from petpark.reports.pages.texts import Texts

WINDOWS: Final = 6
"""Maximum number of listed windows per camera."""


def monitoring_page(facts: MonitoringFacts, t: Texts) -> str:
    """Render the monitoring page."""
    shown = _Monitoring(facts, t)
    cameras = sorted(facts.cameras, key=lambda each: (not each.drifted, each.name))
    return render(
        "monitoring.html.j2",
        t,
        stack=facts.stack,
        written=t.full(facts.written_at, facts.zone),
        period=shown.period(),
        last_run=facts.last_run,
        serving=shown.serving_chart(),
        bands=shown.bands(),
        overall=shown.overall_chart(),
        cameras=[shown.camera(each) for each in cameras],
        tests_legend=[
            ("missed", t("monitoring.legend-rejected")),
            ("kept", t("monitoring.legend-accepted")),
        ],
        accuracy_legend=[
            ("band", t("monitoring.legend-estimate")),
            ("labelled", t("monitoring.legend-labels")),
        ],
    )


class _Monitoring:
    """Texts of the template."""

    def __init__(self, facts: MonitoringFacts, t: Texts) -> None:
        self.facts = facts
        self.t = t
        self.axis = charts.Axis(start=facts.start, end=facts.end, zone=facts.zone)

    def period(self) -> str:
        """Period and channel."""
        facts, t = self.facts, self.t
        start, end = t.moment(facts.start, facts.zone), t.moment(facts.end, facts.zone)
        return t("monitoring.period", start=start, end=end, zone=facts.zone.key, channel=facts.channel)

    def serving_chart(self) -> charts.Chart | None:
        """Chart of active versions; None without any."""
        bands, t = self.facts.serving, self.t
        if not bands:
            return None
        label = t("monitoring.versions-chart", versions=", ".join(str(band.version) for band in bands))
        return charts.versions(self.axis, bands, label, lambda version: t("monitoring.version-n", version=version))

    def bands(self) -> list[dict[str, str]]:
        """The same as rows."""
        t, zone = self.t, self.facts.zone
        return [
            {
                "version": str(band.version),
                "start": t.moment(band.start, zone),
                "end": t.moment(band.end, zone),
                "who": t("monitoring.rolled-back", who=person(band.by)) if band.rollback else person(band.by),
            }
            for band in self.facts.serving
        ]

    def overall_chart(self) -> charts.Chart | None:
        """Accuracy from labels of all cameras; None without labels."""
        if not self.facts.labelled:
            return None
        label = self.t("month.accuracy-chart")
        return charts.accuracy(self.axis, (), self.facts.labelled, label, self._percent, self.t.day)

    def camera(self, camera: CameraMonitored) -> dict[str, Any]:
        """One camera's card."""
        t = self.t
        total = sum(each.photos for each in camera.traffic)
        rejected = [window for window in camera.windows if window.rejected]
        return {
            "name": camera.name,
            "drifted": camera.drifted,
            "state": self._state(camera),
            "notes": self._notes(camera),
            "traffic": charts.traffic(
                self.axis, camera.traffic, t("monitoring.traffic-chart", total=t.number(total)), t.day
            ),
            "tests": self._tests_chart(camera.windows, len(rejected)) if camera.windows else None,
            "accuracy": self._accuracy_chart(camera),
            "windows": [self._window(window) for window in rejected[-WINDOWS:]],
            "more": t("monitoring.more-windows", n=WINDOWS, all=len(rejected)) if len(rejected) > WINDOWS else "",
            "strange": [
                {
                    "id": photo.id,
                    "at": t.moment(photo.start, self.facts.zone),
                    "picture": None if photo.thumbnail is None else data_uri(photo.thumbnail),
                }
                for photo in camera.strange
            ],
        }

    def _state(self, camera: CameraMonitored) -> str:
        if camera.drifted:
            return self.t("monitoring.drifted" if camera.alarms else "monitoring.silent")
        return self.t("monitoring.steady" if camera.windows else "monitoring.untested")

    def _notes(self, camera: CameraMonitored) -> list[str]:
        t = self.t
        notes = [t("monitoring.without-reference", version=version) for version in camera.without_reference]
        if camera.missing_traffic:
            notes.append(t("monitoring.missing-traffic", sentence=camera.missing_traffic))
        return notes

    def _tests_chart(self, windows: Sequence[TestedWindow], rejected: int) -> charts.Chart:
        names = {test: self.t(f"test.{test}") for test in TESTS}
        label = self.t("monitoring.tests-chart", rejected=rejected, windows=len(windows))
        return charts.tests(self.axis, windows, names, label, self.t.day)

    def _accuracy_chart(self, camera: CameraMonitored) -> charts.Chart | None:
        known = [window.estimate for window in camera.windows if isinstance(window.estimate, Share)]
        if not known and not camera.labelled:
            return None
        newest = known[-1] if known else Unknown(why=Why.NO_ESTIMATE)
        label = self.t("monitoring.accuracy-chart", estimate=estimate(self.t, newest))
        return charts.accuracy(self.axis, camera.windows, camera.labelled, label, self._percent, self.t.day)

    def _window(self, window: TestedWindow) -> dict[str, Any]:
        t, zone = self.t, self.facts.zone
        return {
            "start": t.moment(window.start, zone),
            "end": t.moment(window.end, zone),
            "version": str(window.version),
            "photos": t.number(window.photos),
            "estimate": estimate(t, window.estimate),
            "rejected": [
                {"test": t(f"test.{each.test}"), "p": t.p_value(each.p_value), "sentence": each.sentence}
                for each in window.rejected
            ],
        }

    def _percent(self, share: float) -> str:
        return self.t.percent(share, 0)


def data_uri(jpeg: bytes) -> str:
    """Return a picture as a data URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
