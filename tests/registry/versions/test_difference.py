"""What differs between two versions."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from registry.version import StoredFile, Version
from registry.versions.difference import Change, difference

VERSION = Version(
    model="pets",
    number=1,
    created_at="2026-01-01T00:00:00.000000Z",
    files=(StoredFile(name="model.onnx", sha256="a" * 64, bytes=3),),
    labels=("cat", "dog"),
    metrics={"accuracy": 0.9, "recall_dog": 0.8},
    lineage={"run": "r-1", "seed": "1"},
)
METRICS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.1, 0.2]), max_size=3)


def test_every_kind_of_change_is_named() -> None:
    changed = StoredFile(name="model.onnx", sha256="b" * 64, bytes=4)
    added = StoredFile(name="report.html", sha256="c" * 64, bytes=1)
    after = replace(
        VERSION,
        number=2,
        files=(changed, added),
        labels=("dog", "cat"),
        metrics={"accuracy": 0.95},
        lineage={"run": "r-2", "seed": "1"},
    )
    found = difference(VERSION, after)
    assert (found.before, found.after) == (1, 2)
    assert found.files == {
        "model.onnx": Change(before=VERSION.files[0], after=changed),
        "report.html": Change(before=None, after=added),
    }
    assert found.metrics == {"accuracy": Change(before=0.9, after=0.95), "recall_dog": Change(before=0.8, after=None)}
    assert found.labels == Change(before=("cat", "dog"), after=("dog", "cat"))
    assert found.lineage == {"run": Change(before="r-1", after="r-2")}
    assert not found.empty


def test_the_same_content_under_two_numbers_does_not_differ() -> None:
    assert difference(VERSION, replace(VERSION, number=7, created_at="2026-02-01T00:00:00.000000Z")).empty


@given(METRICS, METRICS)
def test_applying_the_difference_gives_the_other_version(before: dict[str, float], after: dict[str, float]) -> None:
    changes = difference(replace(VERSION, metrics=before), replace(VERSION, metrics=after)).metrics
    patched = before | {name: change.after for name, change in changes.items()}
    assert {name: value for name, value in patched.items() if value is not None} == after
    assert all(change.before == before.get(name) != change.after for name, change in changes.items())
