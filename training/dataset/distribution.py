"""How a dataset's photos spread over classes, cameras and days, and how far that moved. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from training.dataset.manifest import Manifest, Photo
from training.dataset.splits.split import camera_of

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One spread, before and after."""

    before: Mapping[str, int]
    after: Mapping[str, int]

    @property
    def distance(self) -> float:
        """Total variation distance: the share of photos that lie elsewhere, 0 (spread alike) to 1 (nothing in common).

        https://en.wikipedia.org/wiki/Total_variation_distance_of_probability_measures
        """
        old, new = self.before.values(), self.after.values()
        if not sum(old) or not sum(new):
            return float(bool(sum(old)) != bool(sum(new)))
        names = self.before.keys() | self.after.keys()
        return sum(abs(self.before.get(n, 0) / sum(old) - self.after.get(n, 0) / sum(new)) for n in names) / 2


def shifts(before: Manifest, after: Manifest) -> dict[str, Shift]:
    """Returns the spread over labels, cameras and days in both; missing values are `UNKNOWN`."""
    return {
        "labels": _shift(before, after, lambda photo: photo.label),
        "cameras": _shift(before, after, lambda photo: camera_of(photo) or UNKNOWN),
        "days": _shift(before, after, lambda photo: photo.captured_at[:10] if photo.captured_at else UNKNOWN),
    }


def _shift(before: Manifest, after: Manifest, fact: Callable[[Photo], str]) -> Shift:
    def spread(photos: Iterable[Photo]) -> dict[str, int]:
        return dict(sorted(Counter(map(fact, photos)).items()))

    return Shift(before=spread(before.photos), after=spread(after.photos))
