"""When a version abstains: the conformal limits, the rule, the output in the ONNX file."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.versions.abstention import Abstention, answer_set, as_text
from serving.inference.session import Session
from tests.examples import examples
from training.evaluation.figures.risk import refused_over_kept, risk_coverage
from training.evaluation.gates import judge_abstention
from training.evaluation.reporting import charts
from training.evaluation.selective.abstention import (
    NotCalibrated,
    Share,
    answer_all,
    calibrate,
    conformal_quantile,
)
from training.evaluation.selective.left_out import LeftOut, LinearLayer
from training.networks.export import ExportedModel, export_onnx
from training.networks.model import build_model
from training.networks.strangeness import add_output, fit_subspace
from training.plan import Gates

LABELS = ("cat", "dog")


def _photos(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate exchangeable photos: strangeness, probabilities, truth."""
    truth = rng.integers(0, 2, count)
    positive = 1 / (1 + np.exp(-(rng.normal(0, 1.5, count) + np.where(truth == 1, 2.0, -2.0))))
    probabilities = np.stack([1 - positive, positive], axis=1).astype(np.float32)
    return rng.beta(2, 5, count).astype(np.float32), probabilities, truth.astype(np.int64)


def _calibrated(rng: np.random.Generator, coverage: float, count: int = 600) -> Abstention:
    strangeness, probabilities, truth = _photos(rng, count)
    found = calibrate(
        strangeness=strangeness, probabilities=probabilities, truth=truth, labels=LABELS, coverage=coverage
    )
    assert isinstance(found, Abstention)
    return found


@given(seed=st.integers(0, 2**32 - 1), error=st.sampled_from([0.02, 0.05, 0.1, 0.3]))
@settings(max_examples=examples(20))
def test_a_new_score_is_within_the_quantile_as_often_as_asked(seed: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    rounds, count = 2000, 60
    scores = rng.normal(size=(rounds, count + 1))
    within = [score[-1] <= conformal_quantile(score[:-1], error) for score in scores]
    deviation = np.sqrt(error * (1 - error) / rounds)
    assert np.mean(within) >= 1 - error - 5 * deviation
    assert np.mean(within) <= 1 - error + 1 / (count + 1) + 5 * deviation


@given(seed=st.integers(0, 2**32 - 1), coverage=st.sampled_from([0.8, 0.9, 0.95]))
@settings(max_examples=examples(6))
def test_answers_hold_the_class_as_often_as_asked_on_average(seed: int, coverage: float) -> None:
    """The mean of a hundred has a deviation of 0.2 points, and at 0.8 the two limits together hold 0.9 points more."""
    rng = np.random.default_rng(seed)
    obtained = []
    for _ in range(100):
        abstention = _calibrated(rng, coverage)
        strangeness, probabilities, truth = _photos(rng, 800)
        told = answer_all(abstention, strangeness=strangeness, probabilities=probabilities, truth=truth, labels=LABELS)
        obtained.append(told.holds.mean())
    assert coverage - 0.02 <= np.mean(obtained) <= coverage + 0.02


@given(
    seed=st.integers(0, 2**32 - 1),
    strangeness=st.floats(0, 1),
    positive=st.floats(0, 1),
)
@settings(max_examples=examples(60))
def test_more_coverage_never_takes_a_class_out_of_an_answer(seed: int, strangeness: float, positive: float) -> None:
    scores = [1 - positive, positive]
    answer = LABELS[int(np.argmax(scores))]
    answers = [
        set(answer_set(scores, strangeness, LABELS, answer, _calibrated(np.random.default_rng(seed), coverage)))
        for coverage in (0.6, 0.8, 0.9, 0.95)
    ]
    assert all(fewer <= more for fewer, more in pairwise(answers))


@given(
    strangeness=st.floats(0, 1),
    limit=st.floats(0, 1),
    thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    positive=st.floats(0, 1),
)
def test_an_answer_is_empty_only_for_neither(
    strangeness: float, limit: float, thresholds: tuple[float, float], positive: float
) -> None:
    record = Abstention(
        coverage=0.9,
        strangeness=limit,
        thresholds=dict(zip(LABELS, thresholds, strict=True)),
        grouped_by="",
        groups=0,
        photos=9,
    )
    answer = "dog" if positive >= 0.5 else "cat"
    found = answer_set([1 - positive, positive], strangeness, LABELS, answer, record)
    assert (found == ()) == (strangeness > limit)
    assert found == () or answer in found
    assert (as_text(found) == "neither") == (found == ())


def test_a_class_without_visitors_is_answered_as_neither() -> None:
    labels = ("background", "cat")
    record = Abstention(
        coverage=0.9, strangeness=1.0, thresholds=dict.fromkeys(labels, 0.5), grouped_by="", groups=0, photos=9
    )
    assert answer_set([0.9, 0.1], 0.0, labels, "background", record) == ()
    assert answer_set([0.1, 0.9], 0.0, labels, "cat", record) == ("cat",)


def test_two_likely_classes_are_a_question() -> None:
    record = Abstention(
        coverage=0.9, strangeness=1.0, thresholds=dict.fromkeys(LABELS, 0.4), grouped_by="", groups=0, photos=9
    )
    assert as_text(answer_set([0.45, 0.55], 0.0, LABELS, "dog", record)) == "cat or dog?"


def test_too_few_validation_photos_of_a_class_give_no_record() -> None:
    rng = np.random.default_rng(1)
    strangeness, probabilities, truth = _photos(rng, 300)
    truth[:] = 0
    truth[:38] = 1
    found = calibrate(strangeness=strangeness, probabilities=probabilities, truth=truth, labels=LABELS)
    assert found == NotCalibrated(because="38 left-out photos of “dog” are too few; 39 are needed")


def test_groups_left_out_are_stranger_than_photos_left_out() -> None:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(12, 80)) * 3
    groups = np.repeat(np.arange(12), 20)
    embedding = (centres[groups] + rng.normal(size=(240, 80))).astype(np.float32)
    truth, shown = np.zeros(240, dtype=np.int64), np.ones(240, dtype=np.bool_)
    by_group = LeftOut.learn(embedding, truth, [str(group) for group in groups], shown, None).strangeness
    by_photo = LeftOut.learn(embedding, truth, [None] * 240, shown, None).strangeness
    assert np.median(by_group) > np.median(by_photo) + 0.1


def _breeds(rng: np.random.Generator, each: int = 12) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Embeddings of eight breeds of two classes, the class in the first place, the breed in one of its own."""
    breed = np.repeat(np.arange(8), each)
    rows = rng.normal(0, 0.3, (len(breed), 24)).astype(np.float32)
    rows[:, 0] += np.where(breed % 2, 2.0, -2.0)
    rows[np.arange(len(breed)), breed + 1] += 2
    return rows, (breed % 2).astype(np.int64), [f"breed {one}" for one in breed]


def test_photos_of_a_group_are_answered_by_what_saw_none_of_it() -> None:
    rng = np.random.default_rng(7)
    rows, truth, groups = _breeds(rng)
    shown = np.ones(len(rows), dtype=np.bool_)
    layer = LinearLayer(penalty=0.1, temperature=1.0, classes=2)
    left_out = LeftOut.learn(rows, truth, groups, shown, layer)
    assert left_out.probabilities is not None
    assert (left_out.probabilities.argmax(axis=1) == truth).mean() > 0.9
    others, _, names = _breeds(rng, each=3)
    whole = fit_subspace(rows).strangeness(others)
    unknown = np.full((len(others), 2), 0.5, dtype=np.float32)
    strangeness, probabilities = left_out.answer(others, names, whole, unknown)
    assert np.median(strangeness) > np.median(whole) + 0.05
    assert (probabilities != unknown).any(axis=1).all()
    same = left_out.answer(others, [None] * len(others), whole, unknown)
    assert np.array_equal(same[0], whole)
    assert np.array_equal(same[1], unknown)


def test_what_answers_do_not_use_of_the_error_neither_may() -> None:
    """With perfect probabilities no answer lacks its class, so 5 of 100 photos may be neither, not 2.5."""
    rng = np.random.default_rng(8)
    truth = np.arange(400) % 2
    probabilities = np.eye(2, dtype=np.float32)[truth]
    strangeness = rng.random(400).astype(np.float32)
    found = calibrate(strangeness=strangeness, probabilities=probabilities, truth=truth, labels=LABELS)
    assert isinstance(found, Abstention)
    assert found.strangeness == pytest.approx(conformal_quantile(strangeness, 0.05))


@given(hits=st.lists(st.booleans(), min_size=4, max_size=60), groups=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60))
def test_an_interval_over_groups_is_never_narrower_than_one_over_photos(
    hits: list[bool], groups: int, seed: int
) -> None:
    names = [str(n) for n in np.random.default_rng(seed).integers(0, groups, len(hits))]
    by_group, by_photo = Share.of(np.array(hits), names), Share.of(np.array(hits))
    assert by_group.interval[0] <= by_photo.interval[0] <= by_group.value <= by_photo.interval[1]
    assert by_group.interval[1] >= by_photo.interval[1]


def test_a_record_survives_its_file_and_a_malformed_one_is_refused() -> None:
    record = _calibrated(np.random.default_rng(3), 0.9)
    assert Abstention.from_json(record.to_json(), LABELS) == record
    whole = json.loads(record.to_json())
    for damage in (
        {"format": 2},
        {"coverage": 1.0},
        {"strangeness": 1.5},
        {"thresholds": {"cat": 0.5}},
        {"thresholds": {"cat": 0.5, "dog": 2.0}},
        {"further": 1},
    ):
        text = json.dumps({**whole, **damage}, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(ValueError):
            Abstention.from_json(text, LABELS)


def test_the_gates_take_the_lower_bounds_of_groups_left_out() -> None:
    gates = Gates(abstention_coverage=0.9, abstention_kept=0.9)
    figures = {
        "abstention_coverage": 0.99, "abstention_coverage_low": 0.97,
        "abstention_coverage_unseen": 0.95, "abstention_coverage_unseen_low": 0.89,
        "abstention_kept": 0.95, "abstention_kept_low": 0.91,
    }  # fmt: skip
    coverage, kept = judge_abstention(gates, figures)
    assert (coverage.name, coverage.passed, coverage.measured) == ("abstention_coverage", False, True)
    assert "groups left out" in coverage.asked
    assert kept.passed
    assert [result.measured for result in judge_abstention(gates, {})] == [False, False]
    near = {"abstention_refused_near": 0.75, "abstention_refused_near_low": 0.63}
    (refused,) = judge_abstention(Gates(abstention_refused_near=0.7), near)
    assert (refused.name, refused.passed) == ("abstention_refused_near", False)
    assert [result.passed for result in judge_abstention(Gates(abstention_refused_near=0.6), near)] == [True]
    assert list(judge_abstention(Gates(), figures)) == []


def test_charts_show_every_share_and_end_where_everything_is_answered() -> None:
    drawn = str(charts.shares({"kept": (0.5, (0.4, 0.6))}))
    assert "50.0 % (40.0 % to 60.0 %)".replace(" %", "\N{NO-BREAK SPACE}%") in drawn
    strangeness, probabilities, truth = _photos(np.random.default_rng(9), 300)
    kept = strangeness < np.quantile(strangeness, 0.9)
    risk = risk_coverage(probabilities, truth, kept=kept, single=kept)
    assert risk.curve[-1].answered == 1
    assert risk.curve[-1].wrong == pytest.approx((probabilities.argmax(axis=1) != truth).mean())
    assert risk.served.answered == pytest.approx(kept.mean())
    assert risk.curve[5].wrong <= risk.curve[-1].wrong
    curve = refused_over_kept(strangeness, strangeness + 1, always=np.zeros(300, dtype=np.bool_), limit=1.2)
    assert curve[-1][0] == 1
    assert curve[-1][1] == pytest.approx((strangeness + 1 > 1.2).mean())
    assert all(kept <= more and refused >= fewer for (kept, refused), (more, fewer) in pairwise(curve))
    assert "nan" not in str(charts.risk_coverage(risk)) + str(charts.refusals({"far": curve}, {"far": (0.9, 0.8)}))


def test_the_onnx_file_computes_the_strangeness_that_calibration_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    model = build_model("resnet8", 2).eval()
    path = tmp_path / "model.onnx"
    export_onnx(model, path, labels=LABELS, size=32)
    photos = rng.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    before = ExportedModel(path).explain(photos)
    subspace = fit_subspace(before.embedding)
    add_output(path, subspace)
    session = Session(path)
    outputs = session.outputs(photos[:7], ("strangeness", "probabilities"))
    strangeness, probabilities = outputs["strangeness"], outputs["probabilities"]
    assert session.output_names[-1] == "strangeness"
    assert strangeness.shape == (7,)
    assert np.allclose(strangeness, subspace.strangeness(before.embedding[:7]), atol=1e-4)
    assert np.allclose(probabilities, before.probabilities[:7], atol=1e-6)
