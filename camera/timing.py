"""When a frame was taken: by the camera's clock if plausible, otherwise by its arrival."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol


class Clock(Protocol):
    """The two clocks of a machine."""

    def wall(self) -> float:
        """Seconds since 1970; may jump when the clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        """See Clock."""
        return time.time()

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()


class TimeSource(StrEnum):
    """The clock of an event's time."""

    CAMERA = "camera"
    ARRIVAL = "arrival"


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """When a frame was taken (`at`, seconds since 1970), and how far the camera's clock was off (`skew`, seconds)."""

    at: float
    source: TimeSource
    skew: float | None
    stream_jumped: bool = False
    machine_jumped: bool = False


class FrameTimes:
    """Stamps the frames of one connection and checks three clocks: camera, stream, machine.

    A camera sends its own time in RTCP sender reports. Its presentation timestamps are independent of that; they are
    compared with the time that passed here. Stamps record deviations of more than `tolerance` seconds.
    """

    def __init__(self, *, tolerance: float) -> None:
        self._tolerance = tolerance
        self._stream: tuple[float, float] | None = None
        self._machine: tuple[float, float] | None = None

    def stamp(self, *, position: float | None, camera: float | None, wall: float, monotonic: float) -> Stamp:
        """Returns a frame's stamp. `position`: seconds in its stream; `camera`: seconds since 1970 by the camera."""
        skew = None if camera is None else camera - wall
        believed = skew is not None and abs(skew) <= self._tolerance
        return Stamp(
            at=camera if believed and camera is not None else wall,
            source=TimeSource.CAMERA if believed else TimeSource.ARRIVAL,
            skew=skew,
            stream_jumped=self._stream_jumped(position, monotonic),
            machine_jumped=self._machine_jumped(wall, monotonic),
        )

    def _stream_jumped(self, position: float | None, monotonic: float) -> bool:
        if position is None:
            return False
        if self._stream is None:
            self._stream = (position, monotonic)
            return False
        offset = (position - self._stream[0]) - (monotonic - self._stream[1])
        jumped = abs(offset) > self._tolerance
        if jumped:
            self._stream = (position, monotonic)
        return jumped

    def _machine_jumped(self, wall: float, monotonic: float) -> bool:
        if self._machine is None:
            self._machine = (wall, monotonic)
            return False
        offset = (wall - self._machine[0]) - (monotonic - self._machine[1])
        jumped = abs(offset) > self._tolerance
        if jumped:
            self._machine = (wall, monotonic)
        return jumped


def moment(seconds: float) -> datetime:
    """Returns seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
