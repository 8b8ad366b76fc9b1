"""The report stands alone, escapes what it is given, and says plainly what the figures mean."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tests.training.conftest import Built
from tests.training.evaluation.figures.test_slices import PHOTO
from training.errors import SpecMalformed
from training.evaluation.assess import Assessment, assess
from training.evaluation.baseline.comparison import Comparison
from training.evaluation.baseline.side_by_side import Figure, Flip, SideBySide, SliceComparison, Worse
from training.evaluation.figures.temperature import Temperature
from training.evaluation.gates import judge
from training.evaluation.reporting.charts import epoch_lines
from training.evaluation.reporting.formatting import percent
from training.evaluation.reporting.report import Report, verdict, write_model_card, write_report
from training.evaluation.selective.unseen_groups import GroupAccuracy, UnseenGroups
from training.fitting.pixels import LabelledPixels
from training.job import EpochRecord
from training.networks.export import Answers, ExportedModel
from training.plan import Checks, Gates

SLICE = SliceComparison(
    column="breed", value="siam", photos=40, ours=0.8, theirs=0.8, interval=(-0.1, 0.1), p_value=1
)  # fmt: skip
EVIL = "<script>alert('cat')</script>"
EPOCH = EpochRecord(epoch=1, of=1, train_loss=0.5, loss=0.4, accuracy=0.8, learning_rate=0.1, seconds=1)


class Coin:
    """A model that answers by the first pixel of a photo."""

    def __init__(self, labels: tuple[str, str]) -> None:
        self.labels = labels
        self.size = 8

    def classify(self, pixels: np.ndarray) -> np.ndarray:
        return np.where(pixels[:, 0, 0, :1] > 127, [[0.1, 0.9]], [[0.8, 0.2]]).astype(np.float32)

    def explain(self, pixels: np.ndarray) -> Answers:
        maps = np.ones((len(pixels), 2, 2, 2), np.float32)
        return Answers(probabilities=self.classify(pixels), embedding=maps[:, :, 0, 0], activation_map=maps)


AS_LEARNED = Temperature(value=1, fitted=1.2, photos=9, p_value=0.4, kept_because="too few photos")
CHECKS = Checks(photos=10, calls=2)


def assessment(
    right: int,
    of: int,
    labels: tuple[str, str] = ("cat", "dog"),
    *,
    temperature: Temperature = AS_LEARNED,
    checks: Checks = CHECKS,
) -> Assessment:
    truth = np.arange(of) % 2
    answers = np.where(np.arange(of) < right, truth, 1 - truth)
    pixels = np.broadcast_to(answers[:, None, None, None] * 200, (of, 8, 8, 3)).astype(np.uint8)
    photos = tuple(
        replace(PHOTO, key=EVIL, label=labels[at], group=("gate", "lawn")[n % 4 // 2]) for n, at in enumerate(truth)
    )
    taken = LabelledPixels(photos=photos, pixels=torch.from_numpy(pixels), targets=torch.from_numpy(truth))
    coin = cast("ExportedModel", Coin(labels))
    return assess(
        coin,
        taken,
        validate=taken,
        temperature=temperature,
        checks=checks,
        seed=1,
        picture=lambda _photo: pixels[0],
    )


def report(what: Assessment, **changes: object) -> Report:
    made = Report(
        title="pets, version 3",
        job="job-3",
        assessment=what,
        gates=judge(Gates(), what),
        epochs=[EPOCH],
        counts={f.label: {"train": 1, "validation": 2, "test": 3} for f in what.evaluation.classes},
        hyper_parameters={"epochs": 1, "image_size": 8, "architecture": "coin"},
        lineage={"run": EVIL, "requested_by": "arn:aws:sts::1:assumed-role/publisher/tina"},
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - tests name fields that exist


def page(tmp_path: Path, what: Assessment, **changes: object) -> str:
    write_report(report(what, **changes), tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_names_of_photos_and_classes_are_escaped(tmp_path: Path):
    html = page(tmp_path, assessment(8, 10, ("<b>", "dog")))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<td><b></td>" not in html


def test_a_report_names_nobody(tmp_path: Path):
    assert "tina" not in page(tmp_path, assessment(8, 10))


def test_the_report_of_a_job_needs_nothing_else(built: Built):
    html = (built.directory / "report.html").read_text()
    assert not re.findall(r"https?://", html)
    assert set(re.findall(r"src=\"(.{10})", html)) == {"data:image"}
    assert "job job-1" in html
    assert built.spec.dataset in html


class Balance(HTMLParser):
    """Counts what was opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "img", "line", "polyline", "polygon", "circle", "rect", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_well_formed(tmp_path: Path):
    balance = Balance()
    balance.feed(page(tmp_path, assessment(8, 10)).replace("/>", ">"))
    assert balance.open == []


def test_no_errors_are_said_in_words(tmp_path: Path):
    assert "None on these photos." in page(tmp_path, replace(assessment(10, 10), errors=()))


@pytest.mark.parametrize(
    ("right", "of", "said"),
    [(950, 1000, "calls about 5 wrong"), (52, 100, "not distinguishable from guessing")],
)
def test_the_verdict_says_what_the_interval_allows(right: int, of: int, said: str):
    assert said in verdict(assessment(right, of))


def test_curves_have_a_point_for_every_epoch():
    chart, lines = epoch_lines([replace(EPOCH, epoch=n, accuracy=n / 4) for n in range(1, 4)])
    drawn = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', chart)
    assert [len(points.split()) for _, points in drawn] == [3, 3, 3]
    assert {line for line, _ in drawn} == set(lines.values())
    assert 'class="first" points="0.0,36.0 640.0,36.0"' in epoch_lines([EPOCH])[0]
    assert epoch_lines([]) == ("", {})


def test_the_verdict_on_the_gates_comes_first_with_what_to_try(tmp_path: Path):
    good = assessment(99, 100)
    assert "✓ Passes all 6 gates" in page(tmp_path, good)
    html = page(tmp_path, good, gates=judge(Gates(accuracy=0.99), good))
    assert "✗ Fails 1 of 6 gates" in html
    assert html.index("Try:") < html.index("Errors")


def test_every_chart_says_what_it_shows(tmp_path: Path):
    html = page(tmp_path, assessment(80, 100))
    assert html.count("<svg") == html.count('role="img" aria-label="') == 4
    assert "NaN" not in html
    assert "nan" not in re.sub('data:[^"]*', "", html)


def test_confidence_is_shown_as_served_and_as_it_was_before(tmp_path: Path):
    assert "served unscaled: too few photos" in page(tmp_path, assessment(80, 100))
    humbler = Temperature(value=1.5, fitted=1.5, photos=300, p_value=0.001)
    what = assessment(80, 100, temperature=humbler)
    html = page(tmp_path, what)
    assert html.count('aria-label="Reliability') == 2
    assert "temperature of 1.50, fitted on 300 validation photos" in html
    assert what.calibration.error == assessment(80, 100).calibration.error
    assert what.calibration.error_before != what.calibration.error
    assert what.metrics()["temperature"] == 1.5


def test_figures_are_told_for_the_threshold_where_errors_cost_differently(tmp_path: Path):
    equal = assessment(80, 100)
    assert equal.decision is None
    assert "Served: the most probable class" in page(tmp_path, equal)
    what = assessment(80, 100, checks=replace(CHECKS, false_negative_cost=50))
    assert what.decision is not None
    assert what.threshold.false_negatives == 0
    (_, cats_called_dogs), (dogs_missed, _) = what.evaluation.confusion
    assert (cats_called_dogs, dogs_missed) == (what.threshold.false_positives, 0)
    assert what.metrics()["accuracy"] == 0.5 != equal.metrics()["accuracy"]
    assert what.robustness.clean == 0.5
    assert {exhibit.answer for exhibit in what.errors} == {"dog"}
    assert "Served: the answer is “dog”" in page(tmp_path, what)


UNSEEN = UnseenGroups(
    column="breed",
    groups=6,
    photos=60,
    accuracy=0.9,
    interval=(0.8, 0.95),
    usual=0.97,
    usual_interval=(0.9, 0.99),
    worst="pug",
    worst_accuracy=0.7,
    seconds=1.0,
    exact=True,
    balanced=0.89,
    calibration_error=0.04,
    table=(GroupAccuracy(name="pug", photos=10, right=7), GroupAccuracy(name="<b>", photos=10, right=9)),
)


def test_what_groups_left_out_came_to_is_in_metrics_report_and_model_card(tmp_path: Path):
    what = replace(assessment(18, 20), unseen_groups=(UNSEEN,))
    metrics = what.metrics()
    assert (metrics["unseen_accuracy_breed"], metrics["unseen_balanced_accuracy_breed"]) == (0.9, 0.89)
    assert (metrics["unseen_accuracy_low_breed"], metrics["unseen_accuracy_high_breed"]) == (0.8, 0.95)
    told = page(tmp_path, what)
    assert "nothing in the job has seen the group" in told
    assert f"<td>pug</td><td>10</td><td>7</td><td>{percent(0.7)}</td>" in told
    assert "&lt;b&gt;" in told
    assert f"has a calibration error of {percent(0.04)}" in told
    write_model_card(report(what), tmp_path / "model-card.md")
    said = f"{percent(0.9)} ({percent(0.8)} to {percent(0.95)}) over 6 groups; worst pug, {percent(0.7)}."
    assert f"Each breed left out in turn: {said}" in (tmp_path / "model-card.md").read_text()
    estimated = replace(what, unseen_groups=(replace(UNSEEN, exact=False, calibration_error=None),))
    assert not any(name.startswith("unseen") for name in estimated.metrics())
    assert "The network itself saw other photos of each group" in page(tmp_path, estimated)


def test_the_model_card_tells_the_same_figures_and_escapes_names(tmp_path: Path):
    what = assessment(8, 10, ("<b>|", "dog"))
    write_model_card(report(what), tmp_path / "model-card.md")
    card = (tmp_path / "model-card.md").read_text()
    assert "<b>" not in card
    assert "<script" not in card
    assert "Accuracy 80.0" in card
    rows = [line for line in card.splitlines() if line.startswith("| &lt;b&gt;/ |")]
    assert len(rows) == 2


def test_an_alarm_for_a_class_that_does_not_exist_is_refused():
    assert Checks().positive_class(("cat", "dog")) == 1
    assert Checks(positive="cat").positive_class(("cat", "dog")) == 0
    with pytest.raises(SpecMalformed, match="cat, dog"):
        Checks(positive="cow").positive_class(("cat", "dog"))


def test_the_version_comes_first_then_what_failed_and_what_was_not_measured(tmp_path: Path):
    good = assessment(99, 100)
    other = replace(good, comparison=Comparison(version=2, photos=0, unmeasured="version 2 has <other> classes"))
    html = page(tmp_path, other, gates=judge(Gates(accuracy=0.99), other))
    places = [
        html.index(said)
        for said in (
            "<h1>pets, version 3</h1>",
            "✗ Fails 1 of 7 gates",
            "1 of 7 gates not measured, counted as failed",
            "not measured, because version 2 has &lt;other&gt; classes",
            "balanced accuracy",
            "Compared with version 2, now in prod",
            "Errors",
        )
    ]
    assert places == sorted(places)


def test_what_changed_against_prod_is_shown_photo_by_photo(tmp_path: Path):
    good = assessment(99, 100)
    compared = Comparison(
        version=2, photos=90, left_out=10, copies=4, accuracy=0.9, only_ours=12, only_theirs=3,
        p_value=0.035, difference_interval=(0.02, 0.18),
    )  # fmt: skip
    flips = tuple(Flip(key=f"{EVIL}{n}", truth="cat", ours="dog", theirs="cat") for n in range(3))
    beside = SideBySide(
        figures=(
            Figure(name="accuracy", photos=90, ours=0.9, theirs=0.8, interval=(0.02, 0.18)),
            Figure(name="drop", photos=80, ours=0.3, theirs=0.2, interval=(0.01, 0.2), more_is_better=False),
            Figure(name="kept", photos=80, ours=0.3, theirs=0.4, interval=(-0.3, 0.1)),
        ),
        bins=good.calibration.bins,
        bins_theirs=good.calibration.bins,
        tried=80,
        worse=Worse(clean=0.9, clean_theirs=0.8, curves=good.robustness.curves, curves_theirs=good.robustness.curves),
        slices=(
            replace(SLICE, value="<pug>", ours=0.5, theirs=0.9, interval=(-0.6, -0.2), p_value=0.01),
            SLICE,
        ),
        lost=flips,
        gained=(),
    )  # fmt: skip
    shown = [replace(each, theirs=("cat", 0.71)) for each in good.samples[:2]]
    html = page(tmp_path, replace(good, comparison=compared, beside=beside, lost=shown[:1], gained=shown))
    assert "10 test photos are left out in this section" in html
    assert "from 4 of these as copies in other bytes" in html
    rows = [re.sub(r"<[^>]+>|\s+", " ", row).split() for row in re.findall(r"<tr><td>.*?</tr>", html, re.DOTALL)]
    assert ["accuracy", "90", "90.0", "%", "80.0", "%", "+10.0", "+2.0", "to", "+18.0", "▲", "better"] in rows
    assert ["drop", "80", "30.0", "%", "20.0", "%", "+10.0", "+1.0", "to", "+20.0", "▼", "worse"] in rows
    assert ["kept", "80", "30.0", "%", "40.0", "%", "−10.0", "−30.0", "to", "+10.0"] in rows
    assert "Significant: breed &lt;pug&gt; (−40.0 points)." in " ".join(html.split())
    assert html.count('aria-label="Reliability') == 3
    assert "of both versions" in html
    assert html.count("version 2: cat 71.0") == 3
    assert "All 3 by name" in html
    balance = Balance()
    balance.feed(html.replace("/>", ">"))
    assert balance.open == []


def test_what_was_not_compared_is_said_without_a_version_where_none_is_known(tmp_path: Path):
    what = replace(
        assessment(99, 100), comparison=Comparison(version=None, photos=0, unmeasured="channel prod cannot be read")
    )
    html = page(tmp_path, what, gates=judge(Gates(), what))
    assert "Compared with the version now in prod" in html
    assert "<strong>Not compared</strong>, because channel prod cannot be read." in html
    write_model_card(report(what), tmp_path / "card.md")
    assert (
        "Compared with the version in prod: not compared, because channel prod cannot be read."
        in (tmp_path / "card.md").read_text()
    )
