"""Successive halving: how many rungs a study has, their epochs, and the numbers of their trials. Pure.

Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (AISTATS 2016).
"""

from typing import Final

ETA: Final = 3
"""A rung keeps one trial in so many, and gives it so many times the epochs."""

MOST_TRIALS: Final = 200
"""Settings of a study: its trials and their results travel through states, of which each takes at most 256 KiB.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""


def rung_epochs(trials: int, epochs: int) -> tuple[int, ...]:
    """Epochs of each rung, the last with all of `epochs`; () where `epochs` is 0: all trials are trained once.

    The last rung has a trial, and the first an epoch.
    """
    if not epochs:
        return ()
    rungs = 1
    while min(trials, epochs) >= ETA**rungs:
        rungs += 1
    return tuple(max(1, round(epochs / ETA ** (rungs - rung))) for rung in range(1, rungs + 1))


def place(number: int, trials: int) -> tuple[int, int]:
    """Setting and rung, both from 1, of a trial's number, in a study of so many settings."""
    return 1 + (number - 1) % trials, 1 + (number - 1) // trials


def number_of(setting: int, rung: int, trials: int) -> int:
    """The number of the trial of a setting in a rung: the reverse of `place`."""
    return (rung - 1) * trials + setting
