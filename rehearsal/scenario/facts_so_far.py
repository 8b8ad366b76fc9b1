"""Facts for the summary, which parallel steps add to."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from petpark.models.gates import Judgement
from rehearsal.report.summary import RehearsalFacts


class FactsSoFar:
    """Facts for the summary, from several threads. `now` is what is known."""

    def __init__(self, facts: RehearsalFacts) -> None:
        self.now = facts
        self._lock = threading.Lock()

    def note(self, **facts: Any) -> None:
        """Set fields of `RehearsalFacts`."""
        with self._lock:
            self.now = replace(self.now, **facts)

    def judged(self, judged: Judgement) -> None:
        """Note the results of a version's gates."""
        with self._lock:
            self.now = replace(self.now, gates={**self.now.gates, judged.version: judged.verdicts})
