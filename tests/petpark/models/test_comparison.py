"""`petpark models diff`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from registry.layout.data_lake import manifest_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place, Run
from tests.training.dataset.test_manifest import photo
from training.dataset.manifest import Manifest, Photo, Split, store_manifest

type Publish = Callable[..., Version]


def one(number: int, label: str, split: Split = Split.TRAIN) -> Photo:
    return photo(f"{label}/{number}.jpg", sha256=f"{number:064x}", label=label, split=split)


BEFORE = Manifest.of([*(one(n, "cat") for n in range(6)), *(one(n, "dog") for n in range(10, 16))])
AFTER = Manifest.of(
    [
        *(one(n, "cat") for n in range(1, 4)),
        one(4, "dog"),
        one(5, "cat", Split.TEST),
        *(one(n, "dog") for n in range(10, 21)),
    ]
)


@pytest.fixture
def lake(place: Place) -> MemoryStore:
    lake = MemoryStore()
    place.buckets["lake"] = lake
    return lake


@pytest.fixture
def version(place: Place, tmp_path: Path) -> Callable[..., Version]:
    """Publish a version of these files and facts."""

    def make(
        files: Mapping[str, str],
        *,
        labels: tuple[str, ...] = ("cat", "dog"),
        metrics: Mapping[str, float] | None = None,
        **lineage: str,
    ) -> Version:
        paths = {name: tmp_path / f"{len(list(tmp_path.iterdir()))}-{name}" for name in files}
        for name, path in paths.items():
            path.write_text(files[name])
        return place.catalog.publish(paths, labels=labels, metrics=metrics or {}, lineage=lineage)

    return make


@pytest.fixture
def two(version: Callable[..., Version], lake: MemoryStore) -> None:
    """Two versions, trained on BEFORE and AFTER."""
    old, new = (store_manifest(lake, manifest) for manifest in (BEFORE, AFTER))
    version({"model.onnx": "a", "old.txt": "o"}, metrics={"accuracy": 0.9, "only_old": 1}, dataset=old, run="r-1")
    version(
        {"model.onnx": "bb", "same.txt": "s"},
        labels=("cat", "dog", "fox"),
        metrics={"accuracy": 0.92, "accuracy_low": 0.9, "accuracy_high": 0.94},
        dataset=new,
        run="r-2",
    )


def output_of(run: Run, *options: str) -> dict[str, Any]:
    said = run("models", "diff", *(options or ("1", "2")), "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_versions_differ_in_files_metrics_labels_and_lineage(run: Run, two: None) -> None:
    found = output_of(run)
    assert (found["before"], found["after"], found["same"]) == (1, 2, False)
    assert found["metrics"]["accuracy"] == {"before": 0.9, "after": 0.92, "delta": pytest.approx(0.02)}
    assert found["metrics"]["only_old"] == {"before": 1.0, "after": None, "delta": None}
    assert found["labels"] == {"before": ["cat", "dog"], "after": ["cat", "dog", "fox"]}
    assert found["lineage"]["run"] == {"before": "r-1", "after": "r-2"}
    assert {name: (c["before"] is None, c["after"] is None) for name, c in found["files"].items()} == {
        "model.onnx": (False, False),
        "old.txt": (False, True),
        "same.txt": (True, False),
    }


def test_datasets_differ_photo_by_photo(run: Run, two: None) -> None:
    found = output_of(run)["dataset"]
    assert (found["before"], found["after"]) == (BEFORE.sha256, AFTER.sha256)
    counted = {how: found[how] for how in ("added", "removed", "relabelled", "moved", "redescribed")}
    assert counted == {"added": 5, "removed": 1, "relabelled": 1, "moved": 1, "redescribed": 0}
    assert found["counts"]["cat"]["train"] == {"before": 6, "after": 3}
    assert found["counts"]["cat"]["test"] == {"before": 0, "after": 1}
    assert found["counts"]["dog"]["train"] == {"before": 6, "after": 12}
    assert found["examples"]["removed"] == [{"key": "cat/0.jpg"}]
    assert found["examples"]["relabelled"] == [{"key": "dog/4.jpg", "before": "cat", "after": "dog"}]
    assert found["examples"]["moved"] == [{"key": "cat/5.jpg", "before": "train", "after": "test"}]
    assert len(found["examples"]["added"]) == 3
    assert "photos" not in found


def test_every_photo_is_named_on_request(run: Run, two: None) -> None:
    found = output_of(run, "1", "2", "--photos")["dataset"]
    assert [entry["key"] for entry in found["photos"]["added"]] == [f"dog/{n}.jpg" for n in range(16, 21)]
    few, all_ = run("models", "diff", "1", "2").stdout, run("models", "diff", "1", "2", "--photos").stdout
    assert ("dog/20.jpg" in few, "dog/20.jpg" in all_) == (False, True)
    assert "5: dog/16.jpg, dog/17.jpg, dog/18.jpg, …" in few


def test_people_read_the_difference_in_sections(run: Run, two: None) -> None:
    shown = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", run("models", "diff", "1", "2").stdout)
    assert [line.rstrip() for line in shown.splitlines()] == SHOWN.splitlines()


SHOWN = f"""\
pets version 1 → 2
  created     WHEN → WHEN UTC
  differs in  metrics, labels, lineage, files, dataset

Metrics
            before  after               change
  accuracy  0.9     0.92 (0.9 to 0.94)  +0.02
  only_old  1       –

Labels
  before      cat, dog
  after       cat, dog, fox

Lineage
           before        after
  dataset  {BEFORE.sha256[:12]}  {AFTER.sha256[:12]}
  run      r-1           r-2

Files
              before                 after
  model.onnx  ca978112ca1b, 1 bytes  3b64db95cb55, 2 bytes
  old.txt     65c74c15a686, 1 bytes  –
  same.txt    –                      043a718774c5, 1 bytes

Dataset
  added       5: dog/16.jpg, dog/17.jpg, dog/18.jpg, …
  removed     1: cat/0.jpg
  relabelled  1: dog/4.jpg (cat → dog)
  moved       1: cat/5.jpg (train → test)

Photos by class
       train   validation  test   all
  cat  6 → 3   0           0 → 1  6 → 4
  dog  6 → 12  0           0      6 → 12
"""


def test_the_same_dataset_is_not_compared(run: Run, publish: Publish) -> None:
    publish()
    publish()
    assert output_of(run)["dataset"] == {"before": "d" * 64, "after": "d" * 64, "same": True, "lost": None}
    assert "Dataset" not in run("models", "diff", "1", "2").stdout


def test_a_version_does_not_differ_from_itself(run: Run, publish: Publish) -> None:
    publish()
    assert output_of(run, "1", "1")["same"] is True
    assert "nothing: same content" in run("models", "diff", "1", "1").stdout


def test_a_dataset_that_is_gone_is_said_and_the_rest_is_compared(run: Run, two: None, lake: MemoryStore) -> None:
    lake.delete(manifest_key(BEFORE.sha256))
    found = output_of(run)
    assert found["metrics"]["accuracy"]["after"] == 0.92
    assert BEFORE.sha256 in found["dataset"]["lost"]
    shown = run("models", "diff", "1", "2")
    assert (shown.exit_code, "cannot be compared  no dataset" in shown.stdout) == (0, True)


def test_a_version_that_names_no_dataset_is_said(run: Run, two: None, version: Callable[..., Version]) -> None:
    version({"model.onnx": "c"})
    assert output_of(run, "2", "3")["dataset"]["lost"] == "the second version names no dataset"
    assert output_of(run, "3", "2")["dataset"]["lost"] == "the first version names no dataset"


def test_both_versions_must_be_there(run: Run, publish: Publish) -> None:
    publish()
    for words in (("1", "2"), ("2", "1")):
        said = run("models", "diff", *words)
        assert (said.exit_code, said.stderr.partition(":")[0]) == (1, "VersionMissing")
