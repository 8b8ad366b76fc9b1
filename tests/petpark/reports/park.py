"""A park of which both pages can show something: ordinary months, empty ones, and people who write hostile texts."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from PIL import Image

from petpark.reports.facts import (
    Availability,
    CameraMonth,
    Change,
    ChangeKind,
    Costs,
    DriftAlarm,
    Labelled,
    LabelledPeriod,
    MonthFacts,
    Requests,
    Share,
    Unknown,
    Why,
)
from petpark.reports.monitoring_facts import (
    CameraMonitored,
    MonitoringFacts,
    Rejected,
    Serving,
    StrangePhoto,
    TestedWindow,
    Traffic,
    TrueAccuracy,
)
from petpark.reports.month import Month

MADRID = ZoneInfo("Europe/Madrid")
NOVEMBER = Month(year=2026, number=11, zone=MADRID)
HOSTILE = '<script>alert("1")</script>\'&{}{0}%s"><img src=x onerror=alert(2)>'
MIA = "arn:aws:sts::123456789012:assumed-role/petpark-promoter/mia"
VERA = "arn:aws:sts::123456789012:assumed-role/petpark-certifier/vera"


def camera(name: str, weight: int, month: Month = NOVEMBER, *, until: int = 31) -> CameraMonth:
    days = month.days[:until]
    daily = {("cat", day): (weight * day.day * 7) % 13 + weight for day in days}
    daily |= {("dog", day): (weight * day.day * 5) % 11 + 1 for day in days}
    daily |= {("fox", day): day.day % 3 for day in days if day.day % 3}
    return CameraMonth(
        name=name,
        daily=daily,
        photos=weight * 4321,
        alarms=weight % 2,
        estimate=Share(value=0.973, interval=(0.951, 0.989), photos=weight * 4000),
    )


def busy_month(month: Month = NOVEMBER, *, cameras: int = 4, changes: int = 9, alarms: int = 3) -> MonthFacts:
    names = ["gate", "pond", "meadow", "kennel", "playground", "north", "south", "east", "west", "tower"]
    days = {day: Requests(total=20_000 + 300 * day.day, bad=90 if day.day == 17 else day.day % 3) for day in month.days}
    shares = [
        LabelledPeriod(
            period=f"{month.year}-W{45 + n}", accuracy=Share(value=0.96 + n / 200, interval=(0.9, 0.99), photos=60)
        )
        for n in range(4)
    ]
    kinds = [
        Change(at=month.start, kind=ChangeKind.PIPELINE_SUCCEEDED, version=12),
        Change(at=month.start, kind=ChangeKind.CERTIFIED, version=12, by=VERA, why="QA, 40 photos of each camera"),
        Change(at=month.start, kind=ChangeKind.PROMOTED, channel="prod", version=12, before=11, by=MIA, why="release"),
        Change(
            at=month.start, kind=ChangeKind.EXPERIMENT_STARTED, channel="prod", version=13, by=MIA, why="night photos"
        ),
        Change(at=month.start, kind=ChangeKind.EXPERIMENT_ENDED, channel="prod", version=13, outcome="rejected"),
        Change(
            at=month.start, kind=ChangeKind.ROLLED_BACK, channel="prod", version=11, before=12, by=MIA, why="fewer dogs"
        ),
        Change(at=month.start, kind=ChangeKind.REVOKED, version=12, by=VERA, why="labels were swapped"),
        Change(at=month.start, kind=ChangeKind.PIPELINE_ENDED, outcome="GateRefused"),
        Change(at=month.start, kind=ChangeKind.PROMOTED, channel="test", version=1, by=MIA, why="first version"),
    ]
    return MonthFacts(
        stack="prod",
        month=month,
        written_at=month.end + timedelta(hours=6),
        cameras=tuple(camera(names[n % 10] + (f"-{n}" if n > 9 else ""), cameras - n, month) for n in range(cameras)),
        availability=Availability(objective="99.9", days=days),
        labelled=Labelled(month=Share(value=0.968, interval=(0.941, 0.984), photos=240), periods=tuple(shares)),
        estimate=Share(value=0.973, interval=(0.951, 0.989), photos=41_000),
        drift=tuple(
            DriftAlarm(
                camera=names[n % 3],
                start=month.start + timedelta(days=2 * n, hours=19),
                end=month.start + timedelta(days=2 * n, hours=23),
                tests=("inputs", "embeddings", "classifier")[: 1 + n % 3],
            )
            for n in range(alarms)
        ),
        drift_windows=1432,
        changes=tuple(
            replace(kinds[n % len(kinds)], at=month.start + timedelta(days=n % 28, hours=10)) for n in range(changes)
        ),
        costs=Costs(stacks={"prod": 121.4, "test": 94.2}, jobs=23.17, telemetry=0.41, prices_of="2026-11-02"),
    )


def empty_month(month: Month = NOVEMBER) -> MonthFacts:
    return MonthFacts(
        stack="test",
        month=month,
        written_at=month.end,
        cameras=(),
        availability=Unknown(why=Why.NO_ACCESS),
        labelled=Unknown(why=Why.NO_LABELS),
        estimate=Unknown(why=Why.NO_DRIFT_RUN),
        drift=Unknown(why=Why.NO_DRIFT_RUN),
        changes=(),
        costs=Costs(
            stacks=Unknown(why=Why.NO_PRICES), jobs=Unknown(why=Why.NO_PIPELINE), telemetry=Unknown(why=Why.NO_PRICES)
        ),
    )


def thumbnail(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (96, 96), colour).save(out, "JPEG")
    return out.getvalue()


def _hours(start: datetime, first: int, count: int) -> tuple[datetime, datetime]:
    return start + timedelta(hours=first), start + timedelta(hours=first + count)


def _camera(name: str, start: datetime, days: int, *, night: int | None, labels: bool) -> CameraMonitored:
    windows: list[TestedWindow] = []
    for first in range(0, days * 24, 6):
        begin, stop = _hours(start, first, 6)
        bad = night is not None and night <= first < night + 30
        rejected = tuple(
            Rejected(test=test, p_value=1e-7, sentence=f"the {test} are different from those of validation photos")
            for test in ("inputs", "strangeness", "embeddings", "classifier")
            if bad
        )
        accuracy = Share(value=0.97 - (first % 5) / 200, interval=(0.93, 0.99), photos=80)
        estimate = Unknown(why=Why.NO_ESTIMATE) if bad and first % 12 else accuracy
        windows.append(
            TestedWindow(
                version=11 if first < 150 else 12,
                start=begin,
                end=stop,
                photos=80 + first % 7,
                rejected=rejected,
                estimate=estimate,
            )
        )
    traffic = [
        Traffic(
            start=_hours(start, n, 1)[0],
            end=_hours(start, n, 1)[1],
            photos=(n * 7) % 23 if 6 < n % 24 < 21 else 2,
        )
        for n in range(days * 24)
    ]
    weeks = [
        TrueAccuracy(
            start=_hours(start, 168 * n, 168)[0],
            end=_hours(start, 168 * n, 168)[1],
            accuracy=Share(value=0.95 + n / 100, interval=(0.9, 0.99), photos=60),
        )
        for n in range(days // 7)
    ]
    alarm = () if night is None else (_hours(start, night, 30),)
    colours = ("black", "navy", "gray")
    return CameraMonitored(
        name=name,
        traffic=tuple(traffic),
        windows=tuple(windows),
        alarms=alarm,
        strange=()
        if night is None
        else tuple(
            StrangePhoto(
                id=f"{n}f1d0c7a9b3e4c5d8e6f7a8b9c0d1e2f",
                start=_hours(start, night, 6)[0],
                end=_hours(start, night, 6)[1],
                thumbnail=thumbnail(colours[n]) if n < 3 else None,
            )
            for n in range(4)
        ),
        labelled=tuple(weeks) if labels else (),
    )


def monitored(days: int = 14) -> MonitoringFacts:
    end = datetime(2026, 11, 30, 12, tzinfo=UTC)
    start = end - timedelta(days=days)

    quiet = CameraMonitored(
        name="pond",
        traffic=(),
        windows=(),
        alarms=(),
        missing_traffic="2 photos in the last 6 hours; on earlier days there were 40 at these hours",
        without_reference=(10,),
    )
    return MonitoringFacts(
        stack="prod",
        channel="prod",
        start=start,
        end=end,
        written_at=end + timedelta(minutes=4),
        zone=MADRID,
        cameras=(
            _camera("gate", start, days, night=None, labels=True),
            _camera("meadow", start, days, night=200, labels=False),
            quiet,
        ),
        serving=(
            Serving(version=11, start=start, end=_hours(start, 150, 1)[0], by=MIA),
            Serving(version=12, start=_hours(start, 150, 1)[0], end=_hours(start, 290, 1)[0], by=MIA),
            Serving(version=11, start=_hours(start, 290, 1)[0], end=end, by=MIA, rollback=True),
        ),
        labelled=(TrueAccuracy(start=start, end=end, accuracy=Share(value=0.96, interval=(0.94, 0.98), photos=240)),),
        last_run=end,
    )
