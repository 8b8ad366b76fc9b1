"""Exponential backoff with jitter."""

import random
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Backoff:
    """Waits that double from `first` to `most` seconds, each with a random factor from 0.5 to 1.

    Jitter keeps cameras that lost their connections together from reconnecting together.
    """

    first: float
    most: float
    source: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def failed(self) -> float:
        """Count a failure. Returns the seconds to wait."""
        longest = min(self.most, self.first * 2 ** min(self.failures, 30))
        self.failures += 1
        return longest * self.source.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Reset the wait to `first`."""
        self.failures = 0
