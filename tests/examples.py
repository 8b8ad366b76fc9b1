"""How many examples a property is tried with."""

from hypothesis import settings

_DEFAULT = 100
"""Hypothesis' own number, for which the arguments below are written."""


def examples(usually: int) -> int:
    """Return `usually`, or the same share of it that the profile in use takes of Hypothesis' own number."""
    return max(1, usually * settings().max_examples // _DEFAULT)
