"""The report: gates, what is stored, what a training makes of it, and the page that people see."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from registry.layout.data_lake import quality_key, quality_prefix
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.training.conftest import REQUESTER
from training.dataset.changes import exclude
from training.dataset.ingest import Ingestion
from training.dataset.manifest import Manifest, load_manifest
from training.errors import DatasetRefused, ManifestMalformed, SpecMalformed, SplitsLeak
from training.fitting.pixels import load_pixels
from training.job import JobSpec
from training.jobs.run import run_job
from training.plan import DataGates
from training.quality import embedding_networks
from training.quality.characteristics.accuracy import doubt
from training.quality.cross_validation import SIZE, learn
from training.quality.embedding_networks import EmbeddingNetwork
from training.quality.examine import examine, pictures
from training.quality.findings import Characteristic, Concern, Finding, Name
from training.quality.gates import judge
from training.quality.page import SHOWN, render
from training.quality.report import COMMANDED, QualityReport, compose, glance, remedies
from training.quality.stored import newest, record_skipped, recorded_skipped, refuse_doubtful, store

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.fixture
def own_lake(lake: MemoryStore, ingestion: Ingestion) -> MemoryStore:
    """The shared photos and dataset in a lake that a test may write to."""
    own = MemoryStore()
    for key in lake.keys(""):
        own.create(key, lake.get(key))
    return own


def report_of(manifest: Manifest, **measures: float) -> QualityReport:
    part = Characteristic(name=Name.RELIABILITY, summary="as told", measures=measures)
    return compose(manifest, [part], gates=DataGates(), by=REQUESTER, at=NOW)


def leaking(manifest: Manifest) -> QualityReport:
    one, other = manifest.photos[0], manifest.photos[-1]
    concern = Concern(key=one.key, sha256=one.sha256, label=one.label, why="the same", beside=(other.key, other.sha256))
    finding = Finding(name="leaks", title="Leaks", says="", total=1, photos=(concern,))
    part = Characteristic(name=Name.RELIABILITY, summary="", measures={"leaks": 1.0}, findings=(finding,))
    return compose(manifest, [part], gates=DataGates(), by=REQUESTER, at=NOW)


# --- networks ---


def test_most_changed_labels_are_doubted_and_most_doubted_labels_were_changed(
    lake: MemoryStore, ingestion: Ingestion
) -> None:
    manifest = ingestion.manifest
    data = load_pixels(lake, manifest.photos, manifest.labels, SIZE, check=lambda: None)
    wrong = np.random.default_rng(0).permutation(len(data))[:6]
    data.targets[torch.as_tensor(wrong)] = 1 - data.targets[torch.as_tensor(wrong)]
    found = learn(data, classes=2, seed=1, shown=300)
    targets = data.targets.numpy()
    doubted = set(doubt(targets, found.probabilities).doubtful[:6].tolist())
    assert len(doubted & set(wrong.tolist())) >= 5
    assert found.embeddings.shape == (len(data), 3 * 256)
    assert np.allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def bright(*, impartial: bool) -> EmbeddingNetwork:
    """A network that sees how bright a photo is, and that is what tells the classes of these photos apart."""

    def embed(pixels: torch.Tensor) -> np.ndarray:
        mean = pixels.float().mean(dim=(1, 2, 3)) / 255
        return torch.stack([mean, 1 - mean, torch.ones_like(mean)], dim=1).numpy()

    return EmbeddingNetwork(name="a light meter", size=16, embed=embed, impartial=impartial)


def test_a_network_that_learned_none_of_the_labels_judges_them_and_no_small_one_is_trained(
    lake: MemoryStore, ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("training.quality.examine.learn", lambda *_, **__: pytest.fail("a network was trained"))
    manifest = ingestion.manifest
    wrong = {manifest.photos[place].sha256 for place in (0, 9, 41, 70)}
    changed = Manifest.of(
        replace(photo, label={"cat": "dog", "dog": "cat"}[photo.label]) if photo.sha256 in wrong else photo
        for photo in manifest.photos
    )
    report = examine(
        lake,
        changed,
        skipped=(),
        gates=DataGates(),
        by=REQUESTER,
        at=NOW,
        network=bright(impartial=True),
        progress=lambda what, _done, _of: asked.append(what),
    )
    (doubted,) = [each for part in report.characteristics for each in part.findings if each.name == "label_noise"]
    assert {concern.sha256 for concern in doubted.photos} == wrong
    assert list(dict.fromkeys(asked)) == ["Reading photos", "Embedding photos with a light meter", "Judging labels"]
    with pytest.raises(pytest.fail.Exception):  # what learned these labels before is not asked about them
        examine(lake, changed, skipped=(), gates=DataGates(), by=REQUESTER, at=NOW, network=bright(impartial=False))


def test_pixels_are_kept_for_small_networks_only(
    lake: MemoryStore, ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.quality.examine.load_pixels", lambda *_, **__: pytest.fail("all pixels are kept"))
    again = partial(examine, lake, ingestion.manifest, skipped=(), gates=DataGates(), by=REQUESTER, at=NOW)
    again(labels=False)
    again(network=bright(impartial=True))
    with pytest.raises(pytest.fail.Exception):
        again()


def test_without_the_package_no_network_that_knows_imagenet_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_networks, "read_packaged", lambda _: None)
    assert embedding_networks.of_imagenet() is None


# --- gates ---


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_looser_limit_never_fails_what_a_stricter_one_passed(value: float, limit: float, more: float) -> None:
    strict, loose = DataGates(label_noise=min(limit, more)), DataGates(label_noise=max(limit, more))
    passed = {gates: {r.name for r in judge(gates, {"label_noise": value}) if r.passed} for gates in (strict, loose)}
    assert passed[strict] - {"label_noise"} == passed[loose] - {"label_noise"}
    assert passed[loose] or not passed[strict] or loose.label_noise == 1


def test_what_nobody_measured_has_not_passed_and_is_not_refused() -> None:
    results = {result.name: result for result in judge(DataGates(days=30), {"label_noise": 0.2, "rarest_class": 0.5})}
    assert (results["label_noise"].measured, results["label_noise"].passed) == (True, False)
    assert results["rarest_class"].passed
    assert (results["days"].measured, results["days"].passed) == (False, False)
    assert not {"hours", "greyscale", "without_time"} & results.keys()  # not asked by default


@pytest.mark.parametrize("setting", ["label_noise=1.5", "days=-1", "leaks=many", "noise=0.1"])
def test_a_limit_that_means_nothing_is_refused(setting: str) -> None:
    with pytest.raises(SpecMalformed):
        DataGates().with_settings([setting])


# --- stored ---


def test_reports_are_numbered_and_the_newest_counts(own_lake: MemoryStore, ingestion: Ingestion) -> None:
    assert newest(own_lake, ingestion.sha256) is None
    assert store(own_lake, report_of(ingestion.manifest, unusable=0.9), "first") == 1
    assert store(own_lake, report_of(ingestion.manifest, unusable=0.1), "second") == 2
    found = newest(own_lake, ingestion.sha256)
    assert found is not None
    assert (found.number, found.measures) == (2, {"unusable": 0.1})
    assert own_lake.get(quality_key(ingestion.sha256, 1, "html")) == b"first"
    own_lake.create(quality_key(ingestion.sha256, 3, "html"), b"of a report that was cut off")
    assert store(own_lake, report_of(ingestion.manifest), "fourth") == 4


def test_a_damaged_report_is_no_report(own_lake: MemoryStore, ingestion: Ingestion) -> None:
    own_lake.create(quality_key(ingestion.sha256, 1, "json"), b"{}")
    with pytest.raises(ManifestMalformed, match="petpark data report"):
        newest(own_lake, ingestion.sha256)


def test_what_ingestion_left_out_is_known_to_datasets_that_people_made_of_it(
    own_lake: MemoryStore, ingestion: Ingestion
) -> None:
    assert recorded_skipped(own_lake, ingestion.sha256) is None
    for at, why in (("2026-03-02", "empty"), ("2026-03-01", "older")):
        record_skipped(own_lake, ingestion.sha256, source="photos", skipped=[("cat/x.jpg", why)], at=at)
    key = ingestion.manifest.photos[0].key
    change = exclude(own_lake, ingestion.sha256, keys=[key], by=REQUESTER, why="a dirty lens", now=NOW)
    assert recorded_skipped(own_lake, change.dataset) == [("cat/x.jpg", "empty")]


# --- what a training makes of it ---


def test_data_gates_hold_the_newest_report_to_the_limits_of_the_job(
    own_lake: MemoryStore, ingestion: Ingestion
) -> None:
    refuse_doubtful(own_lake, ingestion.sha256, None)
    only_files = DataGates(
        label_noise=1, rarest_class=0, near_duplicates=1, contradictions=1, camera_bias=1, unclear=1, unlike=1
    )
    with pytest.raises(DatasetRefused, match="petpark data report"):
        refuse_doubtful(own_lake, ingestion.sha256, only_files)
    store(own_lake, report_of(ingestion.manifest, unusable=0.15), "")  # without networks: nobody looked for leaks
    refuse_doubtful(own_lake, ingestion.sha256, only_files)
    store(own_lake, report_of(ingestion.manifest, unusable=0.15, leaks=0), "")
    refuse_doubtful(own_lake, ingestion.sha256, only_files)
    with pytest.raises(DatasetRefused, match=r"unusable: .*at most 10\.0.*found 15\.0"):
        refuse_doubtful(own_lake, ingestion.sha256, replace(only_files, unusable=0.1))
    with pytest.raises(DatasetRefused, match=r"label_noise: .*found not measured"):
        refuse_doubtful(own_lake, ingestion.sha256, replace(only_files, label_noise=0.1))


def test_pairs_that_leak_stop_a_training_by_name_whether_or_not_it_asks_for_gates(
    own_lake: MemoryStore, ingestion: Ingestion, tmp_path: Path
) -> None:
    store(own_lake, leaking(ingestion.manifest), "")
    first, last = ingestion.manifest.photos[0].key, ingestion.manifest.photos[-1].key
    with pytest.raises(SplitsLeak, match=f"first: {first} and {last}.*petpark data exclude"):
        refuse_doubtful(own_lake, ingestion.sha256, None)
    result = run_job(
        "job",
        JobSpec(dataset=ingestion.sha256, seed=1, requested_by=REQUESTER),
        workspace=MemoryStore(),
        lake=own_lake,
        catalog=Catalog(MemoryStore(), "pets"),
        directory=tmp_path,
    )
    assert (result.status, result.error) == ("failed", "SplitsLeak")
    change = exclude(own_lake, ingestion.sha256, keys=[first], by=REQUESTER, why="the same twice", now=NOW)
    refuse_doubtful(own_lake, change.dataset, None)


# --- what people see ---


class Page(HTMLParser):
    """What a page links to, and what its pictures say to whoever does not see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.images = 0
        self.silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        source = facts.get("src") or facts.get("href") or ""
        if source and not source.startswith(("data:", "#")):
            self.outside.append(source)
        if tag == "img":
            self.images += 1
            self.silent += not facts.get("alt")


def test_the_page_needs_nothing_else_and_shows_a_bounded_number_of_pictures(
    lake: MemoryStore, ingestion: Ingestion
) -> None:
    manifest = ingestion.manifest
    report = examine(lake, manifest, skipped=(), gates=DataGates(unclear=0), by=REQUESTER, at=NOW, labels=False)
    page = render(report, pictures(lake, manifest, report))
    found = Page(page)
    tiny = next(each for part in report.characteristics for each in part.findings if each.name == "tiny")
    assert tiny.total == len(manifest.photos) > SHOWN  # of 32 pixels each
    assert (found.outside, found.silent) == ([], 0)
    assert 0 < found.images <= SHOWN * sum(len(part.findings) for part in report.characteristics)
    assert "Refused at 1 of" in page
    assert len(page) < 5 * 2**20


def test_names_from_outside_are_escaped_on_the_page_and_quoted_in_commands(ingestion: Ingestion) -> None:
    bad = "cat/<script>'; rm -rf ~ #.jpg"
    first, *rest = ingestion.manifest.photos
    manifest = Manifest.of([replace(first, key=bad, brightness=0.0), *rest])
    report = glance(manifest, skipped=[(bad, "<b>empty</b>")], gates=DataGates(), by=REQUESTER, at=NOW)
    page = render(report, {})
    assert "<script>" not in page
    assert "<b>empty" not in page
    dark = next(each for part in report.characteristics for each in part.findings if each.name == "dark")
    (command,) = remedies(manifest.sha256, dark)
    assert shlex.split(command)[:6] == ["petpark", "data", "exclude", manifest.sha256[:12], "--key", bad]


def test_commands_relabel_doubtful_labels_and_exclude_one_of_a_pair(ingestion: Ingestion) -> None:
    def concern(n: int, **more: object) -> Concern:
        return Concern(key=f"{n}.jpg", sha256=str(n), label="cat", why="", **more)  # pyright: ignore[reportArgumentType]

    doubted = Finding(
        name="label_noise",
        title="Doubtful labels",
        says="",
        total=40,
        photos=tuple(concern(n, becomes="dog" if n % 2 else "fox") for n in range(40)),
    )
    commands = [shlex.split(command) for command in remedies("d" * 64, doubted)]
    assert [words[2] for words in commands] == ["relabel", "relabel"]
    assert {words[words.index("--label") + 1] for words in commands} == {"dog", "fox"}
    assert sum(words.count("--key") for words in commands) == COMMANDED
    pair = Finding(
        name="contradictions",
        title="Look-alikes",
        says="",
        total=2,
        photos=(concern(1, beside=("2.jpg", "2")), concern(2, beside=("1.jpg", "1"))),
    )
    (command,) = remedies("d" * 64, pair)
    assert command.count("--key") == 1


def test_the_report_in_json_is_the_one_that_a_later_reader_finds(own_lake: MemoryStore, ingestion: Ingestion) -> None:
    report = glance(load_manifest(own_lake, ingestion.sha256), skipped=(), gates=DataGates(), by=REQUESTER, at=NOW)
    store(own_lake, report, render(report, {}))
    found = newest(own_lake, ingestion.sha256)
    assert found is not None
    assert found.measures == report.measures
    assert len(list(own_lake.keys(quality_prefix(ingestion.sha256)))) == 2
