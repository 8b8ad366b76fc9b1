"""Which version was in force when, by the endpoint's own log, held against the answers that callers got."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.support.serving.callers import Answers

SLACK = 0.5
"""Seconds by which a log line may come after the swap that it tells of, on a machine that is never quiet."""


def foreign_answers(answers: Answers, swaps: Sequence[dict[str, Any]]) -> int:
    """Count good answers from a version that was in force at no moment between question and answer.

    `swaps`: the log's lines "version active", in their order.
    """
    good = answers[answers["status"] == 200]
    began, ended = good["began"], good["began"] + good["seconds"]
    right = np.zeros(len(good), dtype=bool)
    ends = [line["at"] for line in swaps[1:]] + [float("inf")]
    for line, end in zip(swaps, ends, strict=True):
        there = (ended >= line["at"] - SLACK) & (began <= end + SLACK)
        right |= there & (good["version"] == line["version"])
    return int((~right).sum())
