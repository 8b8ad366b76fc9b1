"""How long to wait before trying again."""

import random
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Backoff:
    """Doubling waits between `first` and `most` seconds, each between half of it and all of it, by chance.

    Jitter keeps cameras that were lost together from reconnecting together.
    """

    first: float
    most: float
    source: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def failed(self) -> float:
        """Count a failure; returns the seconds to wait."""
        longest = min(self.most, self.first * 2 ** min(self.failures, 30))
        self.failures += 1
        return longest * self.source.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Start anew."""
        self.failures = 0
