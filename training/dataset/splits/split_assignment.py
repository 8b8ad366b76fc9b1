"""Every photo finds its split, near-duplicates the same one, and no photo of an earlier dataset moves. Pure.

The rule, and what it was chosen over: docs/design/data.md.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.duplicates.hamming import Places
from training.dataset.duplicates.near_duplicates import Hashes
from training.dataset.duplicates.neighbourhood import LISTED, Neighbourhood
from training.dataset.manifest import Photo, Split
from training.dataset.splits.balance import Unit, moves
from training.dataset.splits.split import SplitBy, camera_of, split_of, unit_of

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
    """Assign each of `photos`, no two of the same bytes, its split; their previous split and group are ignored.

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
    """Photos by place: those of the base first, then the new ones, ascending by hash.

    Most photos need no check of their neighbours: their whole component prefers one split, or
    none. Only the others, which are `disputed`, are placed one after the other.
    """

    def __init__(
        self, photos: Sequence[Photo], *, seed: int, by: SplitBy, base: Sequence[Photo], listed: int = LISTED
    ) -> None:
        """Up to `listed` neighbours are kept in lists."""
        self._seed = seed
        self._listed = listed
        self._by = by
        known = {photo.sha256 for photo in base}
        new = sorted((photo for photo in photos if photo.sha256 not in known), key=lambda photo: photo.sha256)
        self._photos = [*base, *new]
        self._new = range(len(base), len(self._photos))
        self._old = np.array([_SPLITS.index(photo.split) for photo in base], dtype=np.int8)
        self._hashes = Hashes([photo.perceptual_hash for photo in self._photos])
        self._units = _units(base, by)
        self._moved: dict[str, Split] = {}
        self._near: Neighbourhood | None = None
        self.start_again({})

    def start_again(self, moved: Mapping[str, Split]) -> None:
        """Reset the splits of new photos, and record which units are moved to another split than their name's."""
        self._moved |= moved
        self._split: npt.NDArray[np.int8] = np.full(len(self._photos), _OPEN, dtype=np.int8)
        self._split[: len(self._old)] = self._old
        self._groups = [photo.group for photo in self._photos]
        self._reasons: dict[str, str] = {}
        self._owners: list[str | None] = [None] * len(self._photos)
        """The unit or group that each goes with, of those that are free to go anywhere."""

    def place_all(self) -> None:
        """Assign every new photo a split."""
        preferred = self._preferred_splits()
        contested = self._contested(preferred)
        self._place_uncontested(preferred, contested)
        if contested.size:
            near = self._neighbourhood(contested)
            self._follow_units(near, contested, preferred)
            self._follow_neighbours(near, contested)
            self._found_groups(near, contested)

    def balance(self) -> dict[str, Split]:
        """The units that should change their split, and did not yet."""
        placed: Counter[tuple[str, Split]] = Counter()
        for photo, code in zip(self._photos, self._split.tolist(), strict=True):
            if code >= 0:
                placed[photo.label, _SPLITS[code]] += 1
        labels: dict[tuple[str, Split], Counter[str]] = defaultdict(Counter)
        for place in self._new:
            owner, code = self._owners[place], self._split[place]
            if owner is not None and owner not in self._moved and code >= 0:
                labels[owner, _SPLITS[code]][self._photos[place].label] += 1
        units = [Unit(name=name, split=split, labels=counted) for (name, split), counted in labels.items()]
        return moves(units, placed, self._seed)

    def _free(self, name: str, place: int) -> int:
        """Where a unit goes that no earlier dataset knows."""
        self._owners[place] = name
        return _SPLITS.index(self._moved.get(name) or split_of(self._seed, name))

    def _preferred_splits(self) -> npt.NDArray[np.int8]:
        """Where each photo belongs that an earlier dataset has, or that has a unit."""
        preferred = self._split.copy()
        for place in self._new:
            if unit := unit_of(self._photos[place], self._by):
                known = self._units.get(unit)
                preferred[place] = self._free(unit, place) if known is None else _SPLITS.index(known)
        return preferred

    def _contested(self, preferred: npt.NDArray[np.int8]) -> Places:
        """Photos whose look-alikes prefer several splits, or one that others must follow; ascending."""
        whole = self._hashes.first
        preferences = np.zeros((len(self._photos), len(_SPLITS)), dtype=np.bool_)
        preferences[whole[preferred >= 0], preferred[preferred >= 0]] = True
        follows = np.zeros(len(self._photos), dtype=np.bool_)
        follows[whole[preferred == _OPEN]] = True
        added = np.zeros(len(self._photos), dtype=np.bool_)
        added[whole[self._new.start :]] = True
        several = preferences.sum(axis=1) + follows > 1
        several &= added & preferences.any(axis=1)
        return np.flatnonzero(several[whole])

    def _place_uncontested(self, preferred: npt.NDArray[np.int8], contested: Places) -> None:
        """Place new photos that all their look-alikes agree with, and let those without a preference found groups."""
        left = np.ones(len(self._photos), dtype=np.bool_)
        left[contested] = False
        for place in (np.flatnonzero(left[self._new.start :]) + self._new.start).tolist():
            self._split[place] = preferred[place]
            if preferred[place] == _OPEN:
                self._join(place, self._photos[self._hashes.first[place]].sha256)

    def _join(self, place: int, name: str) -> None:
        """Place a photo in a group that no earlier dataset knows."""
        self._split[place] = self._free(name, place)
        if camera_of(self._photos[place]) is None:
            self._groups[place] = name

    def _neighbourhood(self, contested: Places) -> Neighbourhood:
        looks = np.unique(self._hashes.looks[contested])
        if self._near is None or not np.array_equal(self._near.looks, looks):
            self._near = Neighbourhood(self._hashes, looks, splits=len(_SPLITS), listed=self._listed)
        self._near.clear()
        for place in contested[contested < self._new.start].tolist():
            self._near.put(place, int(self._split[place]))
        return self._near

    def _follow_units(self, near: Neighbourhood, contested: Places, preferred: npt.NDArray[np.int8]) -> None:
        """Place every new photo of a known unit."""
        for place in contested[(contested >= self._new.start) & (preferred[contested] >= 0)].tolist():
            self._settle(near, place, int(preferred[place]))

    def _follow_neighbours(self, near: Neighbourhood, contested: Places) -> None:
        """Place what looks like placed photos, then what looks like those."""
        first = self._open_of(contested)
        waiting = np.zeros(len(near.looks), dtype=np.bool_)
        waiting[near.place_of(first)] = True
        first = first[near.any_near(first)]
        waiting[near.place_of(first)] = False
        queue = deque(first.tolist())
        while queue:
            place = queue.popleft()
            example = min(near.first(place))
            if self._settle(near, place, int(self._split[example])):
                self._owners[place] = self._owners[example]
                if camera_of(self._photos[place]) is None and camera_of(self._photos[example]) is None:
                    self._groups[place] = self._groups[example]
                queue.extend(self._open_of(near.take_near(place, waiting)).tolist())

    def _found_groups(self, near: Neighbourhood, contested: Places) -> None:
        """Place the rest: each with all that look like it, and like those, by the first hash among them."""
        rest = self._open_of(contested)
        waiting = np.zeros(len(near.looks), dtype=np.bool_)
        waiting[near.place_of(rest)] = True
        for first in rest.tolist():
            if self._split[first] != _OPEN:
                continue
            name = self._photos[first].sha256
            queue = deque(self._open_of(near.take_near(first, waiting)).tolist())
            while queue:
                place = queue.popleft()
                self._join(place, name)
                queue.extend(self._open_of(near.take_near(place, waiting)).tolist())

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

    def _settle(self, near: Neighbourhood, place: int, split: int) -> bool:
        """Place a photo unless it looks like one in another split; later photos must agree with it."""
        there = near.first(place)
        there[split] = len(self._photos)
        other = min(there)
        if other < len(self._photos):
            self._split[place] = _OUT
            self._reasons[self._photos[place].sha256] = (
                f"looks like {self._photos[other].key}, which is in the {_SPLITS[self._split[other]]} split,"
                f" but belongs into the {_SPLITS[split]} split"
            )
            return False
        self._split[place] = split
        near.put(place, split)
        return True

    def _open_of(self, places: Places) -> Places:
        return places[self._split[places] == _OPEN]


def _units(base: Iterable[Photo], by: SplitBy) -> dict[str, Split]:
    """Where the units of an earlier dataset are; not those that it has in several splits, for it split otherwise."""
    found: dict[str, set[Split]] = defaultdict(set)
    for photo in base:
        if unit := unit_of(photo, by):
            found[unit].add(photo.split)
    return {unit: next(iter(splits)) for unit, splits in found.items() if len(splits) == 1}
