"""Events for the tests of the spool."""

from camera.event import Event

MANY = 1 << 30


def event(number: int, camera: str = "gate") -> Event:
    return Event(
        id=f"{number:032x}",
        kind="began",
        visit="v",
        camera=camera,
        label="dog",
        score=0.9,
        at="2030-01-02T03:04:05.000000Z",
        seconds=1.0,
        why=None,
        clock="camera",
        model={"version": 1},
    )
