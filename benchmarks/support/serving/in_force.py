"""Active versions over time by the endpoint's own log, compared with the responses that callers got."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.support.serving.callers import Answers

SLACK = 0.5
"""Maximum delay of a log line after its swap in seconds, on a busy machine."""


def foreign_answers(answers: Answers, swaps: Sequence[dict[str, Any]]) -> int:
    """Returns the number of successful responses from a version that was not active between request and response.

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
