"""Every photo finds its split, near-duplicates the same one, and no photo of an earlier dataset moves. Pure.

The rule, and what it was chosen over: docs/design/data.md.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.balance import Unit, moves
from training.dataset.manifest import Photo
from training.dataset.near import Hashes
from training.dataset.split import Split, SplitBy, camera_of, split_of, unit_of

_SPLITS: Final = tuple(Split)
_OPEN: Final = -1
_OUT: Final = -2


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where photos went."""

    photos: tuple[Photo, ...]
    excluded: tuple[tuple[Photo, str], ...]
    """Photos that look like others in two splits, and so can be in neither; and why."""


def place(photos: Iterable[Photo], *, seed: int, by: SplitBy = SplitBy.CAMERA, base: Sequence[Photo] = ()) -> Placement:
    """Give each of `photos`, no two of the same bytes, its split; whatever split and group they came with is not asked.

    1. A photo that `base`, an earlier dataset, has stays in the split that it has there.
    2. A photo of a known unit (its camera, or its camera's day) goes where that unit is in `base`, or else where the
       unit's name puts it.
    3. Any other goes where its near-duplicates are; if there are none, where the hash of the first of them puts them.
    4. Where that leaves a class with too few photos in a split (`balance.least_photos`), whole units and groups that
       `base` does not know change to it, the smallest first.

    Who would be a near-duplicate of photos in another split is excluded, never an old photo. The order does not matter.
    """
    given = list(photos)
    work = _Placing(given, seed=seed, by=by, base=base)
    work.place_all()
    # A unit that moved may now resemble photos elsewhere, so that others are excluded and counts change again. No unit
    # moves twice, so this ends.
    while moved := work.balance():
        work.start_again(moved)
        work.place_all()
    return work.result(given)


class _Placing:
    """Photos by place: those of the base first, then the new ones, ascending by hash."""

    def __init__(self, photos: Sequence[Photo], *, seed: int, by: SplitBy, base: Sequence[Photo]) -> None:
        self._seed = seed
        self._by = by
        known = {photo.sha256 for photo in base}
        new = sorted((photo for photo in photos if photo.sha256 not in known), key=lambda photo: photo.sha256)
        self._photos = [*base, *new]
        self._new = range(len(base), len(self._photos))
        self._old = np.array([_SPLITS.index(photo.split) for photo in base], dtype=np.int8)
        self._hashes = Hashes([photo.perceptual_hash for photo in self._photos])
        self._units = _units(base, by)
        self._moved: dict[str, Split] = {}
        self.start_again({})

    def start_again(self, moved: Mapping[str, Split]) -> None:
        """Forget where new photos went, and remember which units go elsewhere than their name puts them."""
        self._moved |= moved
        self._split: npt.NDArray[np.int8] = np.full(len(self._photos), _OPEN, dtype=np.int8)
        self._split[: len(self._old)] = self._old
        self._groups = [photo.group for photo in self._photos]
        self._reasons: dict[str, str] = {}
        self._owners: list[str | None] = [None] * len(self._photos)
        """The unit or group that each goes with, of those that are free to go anywhere."""

    def place_all(self) -> None:
        """Give every new photo its split."""
        self.follow_units()
        self.follow_neighbours()
        self.found_groups()

    def balance(self) -> dict[str, Split]:
        """The units that should change their split, and did not yet."""
        placed: Counter[tuple[str, Split]] = Counter()
        for photo, code in zip(self._photos, self._split, strict=True):
            if code >= 0:
                placed[photo.label, _SPLITS[code]] += 1
        labels: dict[tuple[str, Split], Counter[str]] = defaultdict(Counter)
        for place in self._new:
            owner, code = self._owners[place], self._split[place]
            if owner is not None and owner not in self._moved and code >= 0:
                labels[owner, _SPLITS[code]][self._photos[place].label] += 1
        units = [Unit(name=name, split=split, labels=counted) for (name, split), counted in labels.items()]
        return moves(units, placed, self._seed)

    def _free(self, name: str, place: int) -> Split:
        """Where a unit goes that no earlier dataset knows."""
        self._owners[place] = name
        return self._moved.get(name) or split_of(self._seed, name)

    def follow_units(self) -> None:
        """Place every new photo of a known unit."""
        for place in self._new:
            if unit := unit_of(self._photos[place], self._by):
                self._settle(place, self._units.get(unit) or self._free(unit, place))

    def follow_neighbours(self) -> None:
        """Place what looks like placed photos, then what looks like those."""
        waiting = deque(place for place in self._new if self._is_open(place) and self._neighbours(place).size)
        seen = set(waiting)
        while waiting:
            place = waiting.popleft()
            example = int(self._neighbours(place)[0])
            if self._settle(place, _SPLITS[self._split[example]]):
                self._owners[place] = self._owners[example]
                if camera_of(self._photos[place]) is None and camera_of(self._photos[example]) is None:
                    self._groups[place] = self._groups[example]
                nexts = [int(near) for near in self._open_near(place) if near not in seen]
                seen.update(nexts)
                waiting.extend(nexts)

    def found_groups(self) -> None:
        """Place the rest: each with all that look like it, and like those, by the first hash among them."""
        for first in self._new:
            if not self._is_open(first):
                continue
            name = self._photos[first].sha256
            split = _SPLITS.index(self._free(name, first))
            members = deque([first])
            self._split[first] = split
            while members:
                place = members.popleft()
                if camera_of(self._photos[place]) is None:
                    self._groups[place] = name
                nexts = self._open_near(place)
                self._split[nexts] = split
                for near in map(int, nexts):
                    self._owners[near] = name
                    members.append(near)

    def result(self, given: Sequence[Photo]) -> Placement:
        """The photos as they were given, placed."""
        places = {photo.sha256: place for place, photo in enumerate(self._photos)}
        placed: list[Photo] = []
        excluded: list[tuple[Photo, str]] = []
        for photo in given:
            place = places[photo.sha256]
            if reason := self._reasons.get(photo.sha256):
                excluded.append((photo, reason))
            else:
                group = camera_of(photo) or self._groups[place]
                placed.append(replace(photo, split=_SPLITS[self._split[place]], group=group))
        return Placement(photos=tuple(placed), excluded=tuple(excluded))

    def _settle(self, place: int, split: Split) -> bool:
        """Place a photo unless it looks like one in another split; whoever comes later must agree with it."""
        near = self._neighbours(place)
        code = _SPLITS.index(split)
        others = near[self._split[near] != code]
        if others.size:
            other = int(others[0])
            self._split[place] = _OUT
            self._reasons[self._photos[place].sha256] = (
                f"looks like {self._photos[other].key}, which is in the {_SPLITS[self._split[other]]} split,"
                f" but belongs into the {split} split"
            )
            return False
        self._split[place] = code
        return True

    def _neighbours(self, place: int) -> npt.NDArray[np.intp]:
        """Placed photos that look like this one."""
        near = self._hashes.near(place)
        return near[(self._split[near] >= 0) & (near != place)]

    def _open_near(self, place: int) -> npt.NDArray[np.intp]:
        near = self._hashes.near(place)
        return near[self._split[near] == _OPEN]

    def _is_open(self, place: int) -> bool:
        return bool(self._split[place] == _OPEN)


def _units(base: Iterable[Photo], by: SplitBy) -> dict[str, Split]:
    """Where the units of an earlier dataset are; not those that it has in several splits, for it split otherwise."""
    found: dict[str, set[Split]] = defaultdict(set)
    for photo in base:
        if unit := unit_of(photo, by):
            found[unit].add(photo.split)
    return {unit: next(iter(splits)) for unit, splits in found.items() if len(splits) == 1}
