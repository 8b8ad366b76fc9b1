"""How the plugin's scheduler reads schedules, apart from any running emulator."""

import json
import subprocess
from datetime import UTC, datetime

from rehearsal.emulator import PLUGIN, default_python
from rehearsal.emulators import DEFAULT

MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


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
    read = subprocess.run(
        [default_python(DEFAULT), "-c", program, json.dumps(list(cases))],
        env={"PYTHONPATH": str(PLUGIN)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%M:%S}" for when in json.loads(read.stdout)]
    assert dict(zip(cases, found, strict=True)) == cases
