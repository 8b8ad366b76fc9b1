"""How soon a unit that ended is started again: systemd's RestartSec, and a back-off while it fails quickly."""

import asyncio
import time
from pathlib import Path

from rehearsal.sandbox.units import SETTLED_SECONDS, SLOWEST_RESTART_SECONDS, Unit, Units


def _unit() -> Unit:
    return Unit(
        name="endpoint",
        command=["true"],
        environment={},
        directory="/",
        restart="always",
        restart_seconds=0.5,
        stop_seconds=1.0,
    )


def test_waits_double_while_a_unit_fails_quickly_and_start_anew_after_it_ran_for_long(tmp_path: Path) -> None:
    unit = _unit()

    async def after(*lasted: float) -> list[float]:
        units = Units(tmp_path, lambda *_: None)  # the loop ends before anything is started
        waits: list[float] = []
        for seconds in lasted:
            unit.started = time.monotonic() - seconds
            units.ended(unit, 1)
            waits.append(unit.delay())
        return waits

    assert asyncio.run(after(0, 0, 0, 0, 0, 0)) == [
        0.5,
        1.0,
        2.0,
        4.0,
        SLOWEST_RESTART_SECONDS,
        SLOWEST_RESTART_SECONDS,
    ]
    assert asyncio.run(after(SETTLED_SECONDS + 1, 0, 0)) == [0.5, 0.5, 1.0]


def test_the_slowest_restart_is_never_sooner_than_the_unit_wants() -> None:
    unit = _unit()
    unit.restart_seconds = 2 * SLOWEST_RESTART_SECONDS
    unit.failures = 9
    assert unit.delay() == 2 * SLOWEST_RESTART_SECONDS
