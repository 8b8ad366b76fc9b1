"""Estimates, before a rehearsal begins, how long it takes on two idle cores."""

from __future__ import annotations

from typing import Final

from rehearsal.scenario import growing_dataset
from rehearsal.scenario.demo_gates import left_out
from rehearsal.scenario.scenario_options import ScenarioOptions

_BESIDES: Final = 75.0
"""Seconds apart from photos and trainings: emulator, stacks, boots of instances, moves of channels. Set so that the
estimate for 600 generated photos is the shortest measured duration, 100 s (`docs/design/rehearsal.md`)."""
_LAYERS: Final = 80.0
"""Seconds of two trainings of a linear layer apart from the time per photo: export, quantisation, tests. This and the
times below are estimates from CPU time, not measured on idle cores."""
_A_PHOTO: Final = 0.045
"""Seconds that each photo adds to both trainings together."""
_A_PHOTO_FROM_SCRATCH: Final = 0.3
"""Likewise, trained from scratch."""
_A_PHOTO_DRAWN: Final = 0.042
"""Likewise, for generated photos, which are small and trained for few epochs."""
_MINUTE: Final = 60


def seconds(script: ScenarioOptions) -> float:
    """Seconds from start to end, on two idle cores and with the embedded engine."""
    photos = count(script)
    if script.photos is None:
        return _BESIDES + photos * _A_PHOTO_DRAWN
    if script.parameters(1).frozen:
        return _BESIDES + _LAYERS + photos * _A_PHOTO
    return _BESIDES + photos * _A_PHOTO_FROM_SCRATCH


def count(script: ScenarioOptions) -> int:
    """How many photos there are, or will be."""
    return sum(growing_dataset.count(script.photos).values()) if script.photos else script.photo_count


def sentence(script: ScenarioOptions) -> str:
    """Returns a sentence with the estimate and what is trained how."""
    what = f"{count(script):,} {'photos' if script.photos else 'generated photos'}"
    minutes = max(1, round(seconds(script) / _MINUTE))
    how = (
        "a linear layer on a network pretrained on ImageNet"
        if script.parameters(1).frozen
        else f"from scratch by recipe {script.base}"
    )
    twice = "half of them, then all" if script.grows else "all of them, twice"
    return (
        f"{what}: about {minutes} {'minute' if minutes == 1 else 'minutes'} on two idle cores. "
        f"Two trainings, {how}: {twice}."
    ) + (f" {left_out(script.test_photos)}" if script.photos else "")
