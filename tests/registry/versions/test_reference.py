"""A version's reference is read as it was written, and anything else is refused before it is used."""

import io
import zipfile
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.encoding import canonical
from registry.errors import ReferenceMalformed
from registry.versions.reference import MOST_BYTES, MOST_PHOTOS, Reference

ARRAYS = [each.name for each in fields(Reference) if each.name not in {"labels", "statistic_names", "kinds"}]


def reference(seed: int = 0, photos: int = 7, copies: int = 4, width: int = 5) -> Reference:
    rng = np.random.default_rng(seed)
    sure, other = rng.random(photos), rng.random(copies)
    return Reference(
        labels=("cat", "dog"),
        statistic_names=("brightness", "contrast"),
        kinds=("night", "blur"),
        probabilities=np.stack([sure, 1 - sure], axis=1).astype(np.float32),
        truth=rng.integers(0, 2, photos).astype(np.uint16),
        embedding=rng.normal(size=(photos, width)).astype(np.float16),
        statistics=rng.random((photos, 2)).astype(np.float32),
        strangeness=rng.random(photos).astype(np.float32),
        mean=rng.normal(size=width).astype(np.float32),
        components=rng.normal(size=(width, 2)).astype(np.float32),
        worse_probabilities=np.stack([other, 1 - other], axis=1).astype(np.float32),
        worse_truth=rng.integers(0, 2, copies).astype(np.uint16),
        worse_strangeness=rng.random(copies).astype(np.float32),
        worse_kind=rng.integers(0, 2, copies).astype(np.uint8),
    )


def repacked(data: bytes, name: str, content: bytes | None) -> bytes:
    """The archive with one file replaced, added, or (None) left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, value in (parts | {name: content}).items():
            if value is not None:
                archive.writestr(key, value)
    return file.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(0, 20), st.integers(1, 9))
def test_it_is_read_as_it_was_written_and_has_the_same_bytes_again(seed: int, photos: int, copies: int, width: int):
    written = reference(seed, photos, copies, width)
    read = Reference.from_bytes(written.to_bytes())
    assert (read.labels, read.statistic_names, read.kinds) == (
        written.labels,
        written.statistic_names,
        written.kinds,
    )
    for name in ARRAYS:
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert read.to_bytes() == written.to_bytes()


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_another_type_or_shape_is_refused(name: str):
    array = getattr(reference(), name)
    with pytest.raises(ReferenceMalformed, match=name):
        replace(reference(), **{name: array.astype(np.int64)})
    with pytest.raises(ReferenceMalformed):
        replace(reference(), **{name: array[:-1]})


@pytest.mark.parametrize("name", ["mean", "components", "truth"])
def test_an_array_without_dimensions_is_refused(name: str):
    array = getattr(reference(), name)
    with pytest.raises(ReferenceMalformed, match="0 dimensions"):
        Reference.from_bytes(repacked(reference().to_bytes(), f"{name}.npy", npy(array.flat[0])))


@pytest.mark.parametrize("name", ["probabilities", "embedding", "statistics", "strangeness", "mean", "components"])
def test_a_value_that_is_no_number_is_refused(name: str):
    array = getattr(reference(), name).copy()
    array.flat[0] = np.nan
    with pytest.raises(ReferenceMalformed, match="not finite"):
        replace(reference(), **{name: array})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"probabilities": np.full((7, 2), 0.6, np.float32)}, "add up"),
        ({"probabilities": np.tile(np.array([1.5, -0.5], np.float32), (7, 1))}, "outside 0 to 1"),
        ({"truth": np.full(7, 2, np.uint16)}, "without a label"),
        ({"worse_truth": np.full(4, 2, np.uint16)}, "without a label"),
        ({"strangeness": np.full(7, 1.1, np.float32)}, "strangeness"),
        ({"worse_kind": np.full(4, 2, np.uint8)}, "without a name"),
        ({"labels": ("cat", "cat")}, "labels"),
        ({"statistic_names": ("contrast", "contrast")}, "one name"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, Any], said: str):
    with pytest.raises(ReferenceMalformed, match=said):
        replace(reference(), **changed)


def test_more_photos_than_the_bound_are_refused():
    with pytest.raises(ReferenceMalformed, match=f"1 to {MOST_PHOTOS}"):
        reference(photos=MOST_PHOTOS + 1)
    with pytest.raises(ReferenceMalformed, match="1 to"):
        reference(photos=0)


def test_other_files_in_the_archive_and_missing_ones_are_refused():
    data = reference().to_bytes()
    with pytest.raises(ReferenceMalformed, match="expected"):
        Reference.from_bytes(repacked(data, "more.npy", npy(np.zeros(1))))
    with pytest.raises(ReferenceMalformed, match="expected"):
        Reference.from_bytes(repacked(data, "truth.npy", None))


def test_pickled_objects_are_refused_without_being_loaded():
    class Bomb:
        def __reduce__(self) -> Any:
            return pytest.fail, ("it was unpickled",)

    bomb = npy(np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ReferenceMalformed):
        Reference.from_bytes(repacked(reference().to_bytes(), "truth.npy", bomb))


def test_an_array_that_claims_more_numbers_than_it_has_is_refused_before_memory_is_taken():
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": (10**13,)})
    with pytest.raises(ReferenceMalformed, match="numbers"):
        Reference.from_bytes(repacked(reference().to_bytes(), "truth.npy", file.getvalue() + bytes(14)))


def test_a_small_file_with_much_in_it_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(reference().to_bytes())) as old, zipfile.ZipFile(file, "w", 8) as new:
        for info in old.infolist():
            new.writestr(info.filename, bytes(MOST_BYTES) if info.filename == "mean.npy" else old.read(info))
    assert len(file.getvalue()) < MOST_BYTES / 100
    with pytest.raises(ReferenceMalformed, match="at most"):
        Reference.from_bytes(file.getvalue())
    with pytest.raises(ReferenceMalformed, match="at most"):
        Reference.from_bytes(bytes(MOST_BYTES + 1))


def test_another_format_is_refused():
    facts = {"format": 2, "labels": ["cat", "dog"], "statistics": ["brightness", "contrast"], "kinds": ["night"]}
    with pytest.raises(ReferenceMalformed, match="format"):
        Reference.from_bytes(repacked(reference().to_bytes(), "facts.json", canonical(facts)))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_or_read_and_nothing_else_happens(data: st.DataObject):
    whole = bytearray(reference().to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        Reference.from_bytes(bytes(whole))
    except ReferenceMalformed:
        return
