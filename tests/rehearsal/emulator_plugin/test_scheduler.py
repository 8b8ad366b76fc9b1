"""How the plugin's scheduler reads schedules, apart from any running emulator."""

import json
import subprocess
from datetime import UTC, datetime
from typing import Any

from rehearsal.emulator import PLUGIN, default_python
from rehearsal.emulators import DEFAULT

MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_an_input_contains_the_id_of_its_invocation() -> None:
    """The rest of the input stays as it is."""
    program = "import sys; from petpark_emulator.aws.scheduler import filled; print(filled(sys.argv[1], 0, 'd32c'))"
    said = subprocess.run(
        [default_python(DEFAULT), "-c", program, '{"job": "report-<aws.scheduler.execution-id>", "other": "<b>"}'],
        env={"PYTHONPATH": str(PLUGIN)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout) == {"job": "report-d32c", "other": "<b>"}


def asked(program: str, cases: list[Any]) -> list[float]:
    """What a program prints in the emulator's environment, which has the plugin's libraries."""
    done = subprocess.run(
        [default_python(DEFAULT), "-c", program, json.dumps(cases)],
        env={"PYTHONPATH": str(PLUGIN)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_schedules_are_read_as_aws_writes_them() -> None:
    """AWS counts the days of the week from Sunday = 1, and takes a time in the zone it is given with."""
    cases = {
        ("at(2026-12-24T18:00:00)", "UTC"): "2026-12-24T18:00:00",
        ("at(2026-12-24T18:00:00)", "Europe/Madrid"): "2026-12-24T17:00:00",
        ("rate(5 minutes)", "UTC"): "2026-11-23T12:05:00",
        ("rate(1 day)", "UTC"): "2026-11-24T12:00:00",
        ("cron(0 3 * * ? *)", "UTC"): "2026-11-24T03:00:00",
        ("cron(0 3 * * ? *)", "Europe/Madrid"): "2026-11-24T02:00:00",
        ("cron(30 4 ? * 1 *)", "UTC"): "2026-11-29T04:30:00",
        ("cron(30 4 ? * 4-6 *)", "UTC"): "2026-11-25T04:30:00",
        ("cron(30 4 ? * SAT *)", "UTC"): "2026-11-28T04:30:00",
    }
    program = (
        "import json, sys; from petpark_emulator.aws.scheduler import next_time; "
        f"print(json.dumps([next_time(*case, {MONDAY_NOON.timestamp()}) for case in json.loads(sys.argv[1])]))"
    )
    found = [f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%M:%S}" for when in asked(program, list(cases))]
    assert dict(zip(cases, found, strict=True)) == cases


def test_a_rate_schedule_first_fires_when_it_is_created_or_at_its_start_date() -> None:
    noon = MONDAY_NOON.timestamp()
    cases = {
        ("rate(7 days)", None): noon,
        ("rate(7 days)", noon - 60): noon,
        ("rate(7 days)", noon + 3600): noon + 3600,
        ("cron(0 3 * * ? *)", None): noon + 15 * 3600,
        ("cron(0 3 * * ? *)", noon + 20 * 3600): noon + 39 * 3600,
    }
    program = (
        "import json, sys; from petpark_emulator.aws.scheduler import first_time; "
        f"print(json.dumps([first_time(rule, 'UTC', {noon}, start) for rule, start in json.loads(sys.argv[1])]))"
    )
    assert dict(zip(cases, asked(program, list(cases)), strict=True)) == cases
