"""What a version saw of its validation photos: drift is a difference from it. See docs/design/drift.md.

Training writes the file; monitoring compares with it. It is an archive of numpy arrays and one JSON document, read
strictly: what does not have the names, types, shapes and ranges below is not read at all, and nothing is unpickled.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from registry.encoding import canonical, parse_canonical
from registry.errors import ReferenceMalformed

REFERENCE_FILE: Final = "reference.npz"
"""Name of the file; a version without it has no reference."""

MOST_PHOTOS: Final = 1000
"""Of validation, evenly spread over the classes; further ones add little to a test of some hundred photos."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of the file, and of what is in it."""

_FORMAT: Final = 1
_FACTS: Final = "facts.json"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first that an archive can state: the same reference has the same bytes
_ROUNDING: Final = 1e-3
_ARRAYS: Final[Mapping[str, tuple[str, str]]] = {
    "probabilities": ("<f4", "MK"),
    "truth": ("<u2", "M"),
    "embedding": ("<f2", "MD"),
    "statistics": ("<f4", "MS"),
    "strangeness": ("<f4", "M"),
    "mean": ("<f4", "D"),
    "components": ("<f4", "Dk"),
    "worse_probabilities": ("<f4", "CK"),
    "worse_truth": ("<u2", "C"),
    "worse_strangeness": ("<f4", "C"),
    "worse_kind": ("|u1", "C"),
}
"""Type and dimensions of each array, as `Reference` names them."""

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Validation photos as a version sees them, as they are and corrupted. Constructing one checks it.

    M photos, K classes, embeddings of D numbers, S input statistics; C corrupted copies, of R kinds.
    """

    labels: tuple[str, ...]  # K, in the order of the model's outputs
    statistic_names: tuple[str, ...]  # S
    kinds: tuple[str, ...]  # R: names of corruptions
    probabilities: Numbers  # float32 [M, K]
    truth: Numbers  # uint16 [M]: places among the labels
    embedding: Numbers  # float16 [M, D]
    statistics: Numbers  # float32 [M, S]: of the pixels that the model sees
    strangeness: Numbers  # float32 [M], 0 to 1
    mean: Numbers  # float32 [D]: of the embeddings of training photos
    components: Numbers  # float32 [D, k]: their principal components
    worse_probabilities: Numbers  # float32 [C, K]
    worse_truth: Numbers  # uint16 [C]
    worse_strangeness: Numbers  # float32 [C]
    worse_kind: Numbers  # uint8 [C]: places among the kinds

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ReferenceMalformed(problem)

    def __len__(self) -> int:
        return len(self.truth)

    def _problem(self) -> str | None:
        sizes = {"K": len(self.labels), "S": len(self.statistic_names)}  # the others are those of the first array
        for name, (dtype, letters) in _ARRAYS.items():
            array: Numbers = getattr(self, name)
            if array.dtype != np.dtype(dtype):
                return f"{name} of type {array.dtype}, not {np.dtype(dtype)}"
            if array.ndim != len(letters):
                return f"{name} of {array.ndim} dimensions, not {len(letters)}"
            wanted = [sizes.setdefault(letter, size) for letter, size in zip(letters, array.shape, strict=True)]
            if list(array.shape) != wanted:
                return f"{name} of shape {list(array.shape)}, not {wanted}"
            if not np.isfinite(array).all():
                return f"{name} with a value that is not finite"
        return next((problem for wrong, problem in self._ranges() if wrong), None)

    def _ranges(self) -> list[tuple[bool, str]]:
        count, classes = len(self.truth), len(self.labels)
        every = np.concatenate([self.probabilities, self.worse_probabilities])
        strange = np.concatenate([self.strangeness, self.worse_strangeness])
        return [
            (not 1 <= count <= MOST_PHOTOS, f"{count} photos, not 1 to {MOST_PHOTOS}"),
            (len(self.worse_truth) > MOST_PHOTOS, f"{len(self.worse_truth)} corrupted photos"),
            (classes < 2 or len(set(self.labels)) < classes, f"the labels {list(self.labels)!r:.80}"),
            (len(set(self.statistic_names)) < len(self.statistic_names), "statistics of one name"),
            (bool((every < 0).any() or (every > 1).any()), "a probability outside 0 to 1"),
            (bool((abs(every.sum(axis=1) - 1) > _ROUNDING).any()), "probabilities that do not add up to 1"),
            (bool((np.concatenate([self.truth, self.worse_truth]) >= classes).any()), "a class without a label"),
            (bool((strange < 0).any() or (strange > 1).any()), "a strangeness outside 0 to 1"),
            (bool((self.worse_kind >= len(self.kinds)).any()), "a corruption without a name"),
        ]

    def to_bytes(self) -> bytes:
        """Write the file's bytes; the same reference gives the same ones."""
        facts = {
            "format": _FORMAT,
            "labels": list(self.labels),
            "statistics": list(self.statistic_names),
            "kinds": list(self.kinds),
        }
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(_FACTS, _EPOCH), canonical(facts))
            for name in _ARRAYS:
                part = io.BytesIO()
                npy.write_array(part, np.ascontiguousarray(getattr(self, name)), version=(1, 0), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), part.getvalue())
        data = file.getvalue()
        if len(data) > MOST_BYTES:
            raise ReferenceMalformed(f"{len(data):,} bytes; at most {MOST_BYTES:,}")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the file, strictly; ReferenceMalformed."""
        if len(data) > MOST_BYTES:
            raise ReferenceMalformed(f"{len(data):,} bytes; at most {MOST_BYTES:,}")
        try:
            parts = _unpack(data)
            labels, names, kinds = _facts(parts.pop(_FACTS))
            arrays = {name: _array(name, parts[f"{name}.npy"]) for name in _ARRAYS}
        except Exception as error:  # what zipfile and numpy raise for broken bytes shares no base class
            raise ReferenceMalformed(str(error) or type(error).__name__) from error
        return cls(labels=labels, statistic_names=names, kinds=kinds, **arrays)


def _unpack(data: bytes) -> dict[str, bytes]:
    """Returns the archive's files by name, which add up to at most MOST_BYTES; ValueError."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        names, expected = [info.filename for info in infos], [_FACTS, *(f"{name}.npy" for name in _ARRAYS)]
        if sorted(names) != sorted(expected):
            raise ValueError(f"the files {', '.join(sorted(names))[:200]}; expected {', '.join(sorted(expected))}")
        if (size := sum(info.file_size for info in infos)) > MOST_BYTES:
            raise ValueError(f"{size:,} bytes in it; at most {MOST_BYTES:,}")
        return {info.filename: archive.read(info) for info in infos}


def _facts(data: bytes) -> tuple[tuple[str, ...], ...]:
    """Returns labels, names of statistics and kinds of corruptions; ValueError."""
    fields = parse_canonical(data)
    if (number := fields.count("format")) != _FORMAT:
        raise ValueError(f"field 'format' is {number}; this release reads {_FORMAT}")
    found = fields.texts("labels"), fields.texts("statistics"), fields.texts("kinds")
    fields.done()
    return found


def _array(name: str, data: bytes) -> Numbers:
    """Returns an array of the `.npy` format, version 1.0, of the type that it must have; ValueError."""
    file = io.BytesIO(data)
    if npy.read_magic(file) != (1, 0):
        raise ValueError(f"{name} in another version of the format than 1.0")
    shape, by_columns, dtype = npy.read_array_header_1_0(file)
    if dtype != np.dtype(_ARRAYS[name][0]):
        raise ValueError(f"{name} of type {dtype}, not {_ARRAYS[name][0]}")
    values = np.frombuffer(data, dtype, offset=file.tell())
    if by_columns or len(values) != np.prod(shape, dtype=np.float64):
        raise ValueError(f"{name} of shape {list(shape)} with {len(values)} numbers")
    return values.reshape(shape)
