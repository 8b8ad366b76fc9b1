"""An event as a camera records it."""

from camera.visits.event import Event, new_id, written


def event(wall: float) -> Event:
    """The beginning of a visit at `wall`, in seconds since 1970."""
    return Event(
        id=new_id(),
        kind="began",
        visit=new_id(),
        camera="park",
        label="dog",
        score=0.97,
        at=written(wall),
        seconds=1.0,
        why=None,
        clock="camera",
        model={"name": "pets", "version": 1},
    )
