"""When a version abstains: the conformal limits, the rule, the output in the ONNX file."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.abstention import Abstention, answer_set, as_text
from serving.session import Session
from training.evaluation import charts
from training.evaluation.abstention import (
    NotCalibrated,
    calibrate,
    conformal_quantile,
    left_out_strangeness,
    measure,
)
from training.evaluation.gates import judge_abstention
from training.evaluation.plan import Gates
from training.export import ExportedModel, export_onnx
from training.model import build_model
from training.strangeness import add_output, fit_subspace

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
@settings(max_examples=20, deadline=None)
def test_a_new_score_is_within_the_quantile_as_often_as_asked(seed: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    rounds, count = 2000, 60
    scores = rng.normal(size=(rounds, count + 1))
    within = [score[-1] <= conformal_quantile(score[:-1], error) for score in scores]
    deviation = np.sqrt(error * (1 - error) / rounds)
    assert np.mean(within) >= 1 - error - 5 * deviation
    assert np.mean(within) <= 1 - error + 1 / (count + 1) + 5 * deviation


@given(seed=st.integers(0, 2**32 - 1), coverage=st.sampled_from([0.8, 0.9, 0.95]))
@settings(max_examples=15, deadline=None)
def test_answers_hold_the_class_as_often_as_asked_on_average(seed: int, coverage: float) -> None:
    rng = np.random.default_rng(seed)
    obtained = []
    for _ in range(10):
        abstention = _calibrated(rng, coverage)
        strangeness, probabilities, truth = _photos(rng, 800)
        told = measure(abstention, strangeness=strangeness, probabilities=probabilities, truth=truth, labels=LABELS)
        obtained.append(told.obtained)
    assert np.mean(obtained) >= coverage - 0.02


@given(
    seed=st.integers(0, 2**32 - 1),
    strangeness=st.floats(0, 1),
    positive=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
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
    assert found == NotCalibrated(because="38 validation photos of “dog” are too few; 39 are needed")


def test_groups_left_out_are_stranger_than_photos_left_out() -> None:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(12, 80)) * 3
    groups = np.repeat(np.arange(12), 20)
    embedding = (centres[groups] + rng.normal(size=(240, 80))).astype(np.float32)
    by_group = left_out_strangeness(embedding, [str(group) for group in groups])
    by_photo = left_out_strangeness(embedding, None)
    assert np.median(by_group) > np.median(by_photo) + 0.1


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


def test_the_gates_take_the_figures_of_groups_left_out() -> None:
    gates = Gates(abstention_coverage=0.9, abstention_kept=0.9)
    figures = {"abstention_coverage": 0.99, "abstention_coverage_unseen": 0.8, "abstention_kept": 0.95}
    coverage, kept = judge_abstention(gates, figures)
    assert (coverage.name, coverage.passed, coverage.measured) == ("abstention_coverage", False, True)
    assert "groups left out" in coverage.asked
    assert kept.passed
    assert [result.measured for result in judge_abstention(gates, {})] == [False, False]
    assert list(judge_abstention(Gates(), figures)) == []


def test_the_chart_leaves_out_what_was_not_measured() -> None:
    drawn = str(charts.shares({"kept": 0.5, "of groups": None}))
    assert "kept" in drawn
    assert "of groups" not in drawn


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
