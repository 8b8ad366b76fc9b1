"""Gates of a model that is trained on a user's own photos in a demo. Pure.

A demo shows how petpark works, not how good a model of these photos is. It should not require changed gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from registry.gates import MODEL_GATES, Gate, Stricter

LEAST_TEST_PHOTOS: Final = 20
"""With fewer, a perfect model fails gates, because 95 % intervals are too wide. `LEAST_PHOTOS` of training's slices is
the same number, for the same reason."""

_NEEDS_AN_INDEX: Final = "slice_gap"
"""Measured if cameras, times or sizes divide the test photos; a folder of photos may have none of them."""


def demo_gates(model: Mapping[str, float], test_photos: int) -> dict[str, float]:
    """Returns the stack's gates, without those that cannot be measured with these photos, for any model."""
    without = [_NEEDS_AN_INDEX] if test_photos >= LEAST_TEST_PHOTOS else MODEL_GATES
    return {**model, **{name: _nothing(MODEL_GATES[name]) for name in without}}


def left_out(test_photos: int) -> str:
    """Returns a sentence on what is not required; the version's report shows the figures."""
    if test_photos < LEAST_TEST_PHOTOS:
        return f"About {test_photos} test photos are too few for a model's gates: none is required here."
    return f"The gate {_NEEDS_AN_INDEX} is not required: a folder of photos has no index of cameras and times."


def _nothing(gate: Gate) -> float:
    """The value that requires nothing."""
    if gate.off is not None:
        return gate.off
    return 0.0 if gate.stricter is Stricter.HIGHER else gate.most
