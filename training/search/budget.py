"""What a study may spend."""

from dataclasses import asdict, dataclass

from training.errors import SpecMalformed


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of a study, over all its instances; None is no limit of the study's own."""

    max_hours: float | None = None
    max_usd: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no budget can mean; SpecMalformed."""
        for name, value in self.limits().items():
            if not 0 < value < float("inf"):
                raise SpecMalformed(f"{name} must be above 0, not {value}")

    def limits(self) -> dict[str, float]:
        """Returns the limits that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def usd(self, cheapest: float) -> float:
        """Returns what may be spent in USD, infinite without a limit; `cheapest` is the lowest price of an hour.

        Hours count at that price: no instance can take more of them for the money.
        """
        hours = float("inf") if self.max_hours is None else self.max_hours * cheapest
        return min(hours, float("inf") if self.max_usd is None else self.max_usd)
