"""Reference implementation of look-alikes: compares all photos with all; the fast ones must agree with it."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from training.dataset.duplicates.hamming import NEAR
from training.dataset.manifest import Photo, Split
from training.dataset.splits.leakage import Leak
from training.dataset.splits.split import SplitBy, camera_of, split_of, unit_of


def looks_plain(photo: Photo) -> bool:
    return not 5 < int(photo.perceptual_hash, 16).bit_count() < 59


def distance(one: Photo, other: Photo) -> int:
    return (int(one.perceptual_hash, 16) ^ int(other.perceptual_hash, 16)).bit_count()


def near(photos: Sequence[Photo], place: int) -> list[int]:
    """Places of the photos that look like one, itself among them; none for a plain one."""
    if looks_plain(photos[place]):
        return []
    return [n for n, other in enumerate(photos) if not looks_plain(other) and distance(photos[place], other) <= NEAR]


def look_alikes(photos: Sequence[Photo]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Each photo with the first that looks like it, and with the first of those that has another label."""
    others = [[n for n in near(photos, place) if n != place] for place in range(len(photos))]
    unlike = [[n for n in found if photos[n].label != photos[place].label] for place, found in enumerate(others)]
    return _first_of(others), _first_of(unlike)


def _first_of(found: list[list[int]]) -> list[tuple[int, int]]:
    return [(place, each[0]) for place, each in enumerate(found) if each]


def firsts(photos: Sequence[Photo]) -> list[int]:
    """The first photo that each looks like, or looks like one that does, and so on."""
    found = [-1] * len(photos)
    for first in range(len(photos)):
        waiting = [first] if found[first] < 0 else []
        while waiting:
            place = waiting.pop()
            found[place] = first
            waiting += [n for n in near(photos, place) if found[n] < 0]
    return found


def leaks(photos: Sequence[Photo]) -> list[Leak]:
    """Every pair in different splits, once: validation meets train, test meets both."""
    meets = {Split.TRAIN: (), Split.VALIDATION: (Split.TRAIN,), Split.TEST: (Split.TRAIN, Split.VALIDATION)}
    return [
        Leak(one=photo, other=photos[n], distance=distance(photo, photos[n]))
        for place, photo in enumerate(photos)
        for n in near(photos, place)
        if photos[n].split in meets[photo.split]
    ]


def place(
    photos: Sequence[Photo], *, seed: int, by: SplitBy, base: Sequence[Photo] = ()
) -> tuple[list[Photo], list[tuple[Photo, str]]]:
    """Rules 1 to 3 of `placing.place`, one photo after the other; what is placed, and what is excluded and why."""
    known = {photo.sha256 for photo in base}
    every = [*base, *sorted((each for each in photos if each.sha256 not in known), key=lambda each: each.sha256)]
    new = range(len(base), len(every))
    alike = [near(every, n) for n in range(len(every))]
    splits: dict[int, Split] = {n: photo.split for n, photo in enumerate(base)}
    groups = [photo.group for photo in every]
    reasons: dict[str, str] = {}
    units = _units(base, by)

    def settle(n: int, split: Split) -> bool:
        other = next((m for m in alike[n] if splits.get(m, split) is not split), None)
        if other is not None:
            reasons[every[n].sha256] = (
                f"looks like {every[other].key}, which is in the {splits[other]} split,"
                f" but belongs into the {split} split"
            )
            return False
        splits[n] = split
        return True

    def spread(waiting: deque[int], put: Callable[[int], bool]) -> None:
        seen = set(waiting)
        while waiting:
            n = waiting.popleft()
            if put(n):
                nexts = [m for m in alike[n] if is_open(m) and m not in seen]
                seen.update(nexts)
                waiting.extend(nexts)

    def is_open(n: int) -> bool:
        return n not in splits and every[n].sha256 not in reasons

    def follow(n: int) -> bool:
        example = next(m for m in alike[n] if m in splits)
        if not settle(n, splits[example]):
            return False
        if camera_of(every[n]) is None and camera_of(every[example]) is None:
            groups[n] = groups[example]
        return True

    for n in new:
        if unit := unit_of(every[n], by):
            settle(n, units.get(unit) or split_of(seed, unit))
    spread(deque(n for n in new if is_open(n) and any(m in splits for m in alike[n])), follow)
    for first in new:
        if is_open(first):
            name = every[first].sha256

            def found(n: int, name: str = name) -> bool:
                splits[n] = split_of(seed, name)
                groups[n] = name if camera_of(every[n]) is None else groups[n]
                return True

            spread(deque([first]), found)
    places = {photo.sha256: n for n, photo in enumerate(every)}
    placed = [
        replace(each, split=splits[n], group=camera_of(each) or groups[n])
        for each in photos
        if (n := places[each.sha256]) in splits
    ]
    return placed, [(each, reasons[each.sha256]) for each in photos if each.sha256 in reasons]


def _units(base: Sequence[Photo], by: SplitBy) -> Mapping[str, Split]:
    found: dict[str, set[Split]] = {}
    for photo in base:
        if unit := unit_of(photo, by):
            found.setdefault(unit, set()).add(photo.split)
    return {unit: min(splits) for unit, splits in found.items() if len(splits) == 1}
