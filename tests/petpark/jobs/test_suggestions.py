"""What to try after a failed gate is a command that petpark takes, and that changes what it says and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.jobs.suggestions import NEW, PHOTOS, JobDefaults, remedies
from petpark.models.gates import Judgement, Verdict
from registry.gates import MODEL_GATES, State
from training.evaluation.figures.corruptions import CORRUPTIONS
from training.hyper_parameters import FOR_GPUS, FOR_TRANSFER, HyperParameters, idle, refuse_idle
from training.job import JobSpec
from training.plan import Checks, EvaluationPlan, Gates

NAMES = ["not_worse_than_prod", *(name for name in MODEL_GATES if name != "luck")]
USUAL = JobDefaults(parameters=FOR_GPUS, evaluation=EvaluationPlan(gates=Gates(accuracy=0.7)))
SPECS = st.builds(
    JobSpec,
    dataset=st.just("3fa9" * 16),
    seed=st.integers(0, 9),
    requested_by=st.just("alice"),
    max_seconds=st.integers(1, 300).map(lambda minutes: 60 * minutes),
    hyper_parameters=st.builds(
        HyperParameters,
        epochs=st.integers(1, 90),
        image_size=st.integers(16, 300),
        crop_scale=st.floats(0.01, 1),
        frozen=st.integers(0, 1),
        **{name: st.floats(0, 1) for name in ("light", "blur", "jpeg", "label_smoothing")},
    ),
    evaluation=st.builds(
        EvaluationPlan,
        gates=st.builds(Gates, accuracy=st.floats(0, 1), slice_gap=st.floats(0, 1), milliseconds=st.floats(0, 50)),
        checks=st.builds(Checks, positive=st.sampled_from(["", "dog", "grey cat", "a'b"]), int8=st.integers(0, 2)),
    ),
)
JUDGEMENTS = st.builds(
    Judgement,
    version=st.integers(1, 99),
    verdicts=st.sets(st.sampled_from(NAMES)).map(
        lambda names: tuple(Verdict(name=name, state=State.FAILED if name in names else State.PASSED) for name in NAMES)
    ),
    temperature=st.none() | st.floats(0.1, 5),
    weakest=st.none() | st.sampled_from(sorted(CORRUPTIONS)),
    incumbent=st.none() | st.integers(1, 99),
    continued=st.booleans(),
)
SPEC = JobSpec(dataset="3fa9" * 16, seed=0, requested_by="alice", hyper_parameters=HyperParameters(epochs=10))


def options(command: str) -> dict[str, list[str]]:
    words = shlex.split(command.rpartition("&&")[2])
    assert words[:2] == ["petpark", "train"]
    assert words.pop() == "--watch"
    found: dict[str, list[str]] = {}
    for name, value in zip(words[2::2], words[3::2], strict=True):
        found.setdefault(name, []).append(value)
    return found


def changed(before: object, after: object) -> Mapping[str, object]:
    was = asdict(before)  # pyright: ignore[reportArgumentType]
    return {name: value for name, value in asdict(after).items() if value != was[name]}  # pyright: ignore[reportArgumentType]


@given(SPECS, JUDGEMENTS)
def test_a_command_takes_the_job_up_again_and_changes_only_what_is_to_be_tried(
    spec: JobSpec, judgement: Judgement
) -> None:
    found = remedies(spec, judgement, USUAL)
    assert bool(found) == bool(judgement.failed)
    for remedy in found:
        if "petpark train" not in remedy.command:
            assert remedy.command == f"petpark models report {judgement.version}"
            continue
        given = options(remedy.command)
        parameters = USUAL.parameters.with_settings(given.get("--set", []))
        gates = USUAL.evaluation.gates.with_settings(given.get("--gate", []))
        checks = USUAL.evaluation.checks.with_settings(given.get("--check", []))
        held = asdict(USUAL.evaluation.gates)
        assert not any(MODEL_GATES[name].loosens(held[name], value) for name, value in asdict(gates).items())
        assert int(given.get("--seed", ["0"])[0]) == spec.seed
        assert set(given["--dataset"]) == ({NEW} if remedy.what == "more photos" else {spec.dataset[:12]})
        assert set(changed(spec.evaluation.checks, checks)) <= {"int8"}
        refuse_idle(parameters, given.get("--set", []))
        differ = changed(spec.hyper_parameters, parameters)
        if spec.hyper_parameters.frozen:
            differ = {name: value for name, value in differ.items() if name not in idle(parameters, differ)}
            assert "--weights" not in given
        if remedy.what == "other parameters":
            assert differ or checks.int8 == 1 != spec.evaluation.checks.int8, "something is tried"
        elif remedy.what == "continue from its weights":
            assert set(differ) == {"learning_rate"}
            assert given["--weights"] == [str(judgement.version)]
        elif remedy.what == "a lower learning rate, from the weights in prod":
            assert set(differ) == {"learning_rate"}
            assert judgement.continued
        else:
            assert differ == {}


def tried(*failed: str, spec: JobSpec = SPEC, **facts: Any) -> dict[str, str]:
    verdicts = tuple(Verdict(name=name, state=State.FAILED if name in failed else State.PASSED) for name in NAMES)
    judged = replace(Judgement(version=4, verdicts=verdicts), **facts)
    usual = JobDefaults(parameters=HyperParameters(), evaluation=EvaluationPlan())
    return {remedy.what: remedy.command for remedy in remedies(spec, judged, usual)}


def test_more_photos_are_ingested_upon_the_dataset_that_there_was() -> None:
    assert tried("recall")["more photos"] == (
        f"petpark data ingest {PHOTOS} --base 3fa93fa93fa9 && "
        f"petpark train --dataset {NEW} --set epochs=10 --weights 4 --watch"
    )


@pytest.mark.parametrize(
    ("failed", "facts", "setting"),
    [
        ("accuracy", {}, "epochs=20"),
        ("recall", {}, "epochs=20"),
        ("slice_gap", {}, "crop_scale=0.6"),
        ("calibration_error", {"temperature": 1.4}, "label_smoothing=0.1"),
        ("calibration_error", {"temperature": 0.7}, "label_smoothing=0.0"),
        ("robustness_drop", {"weakest": "glare"}, "glare=0.1"),
        ("robustness_drop", {"weakest": "night"}, "infrared=0.1"),
        ("consistency", {}, "image_size=72"),
    ],
)
def test_each_gate_has_parameters_to_try(failed: str, facts: dict[str, Any], setting: str) -> None:
    assert f"--set {setting}" in tried(failed, **facts)["other parameters"]


@pytest.mark.parametrize(
    ("failed", "setting"),
    [
        ("accuracy", "architecture=efficientnet_lite1"),
        ("recall", "architecture=efficientnet_lite1"),
        ("slice_gap", "views=8"),
        ("robustness_drop", "views=8"),
        ("consistency", "image_size=336"),
    ],
)
def test_a_linear_layer_that_failed_is_tried_otherwise_and_never_with_epochs(failed: str, setting: str) -> None:
    spec = replace(SPEC, hyper_parameters=FOR_TRANSFER)
    found = tried(failed, "not_worse_than_prod", spec=spec, incumbent=2)
    assert f"--set {setting}" in found["other parameters"]
    assert not any("epochs" in command or "--weights" in command for command in found.values())
    assert set(found) <= {"more photos", "other parameters", "look at its errors"}


def test_a_slow_model_is_tried_in_eight_bits_and_then_smaller() -> None:
    assert "--check int8=1" in tried("milliseconds")["other parameters"]
    made_for_it = replace(SPEC, hyper_parameters=FOR_TRANSFER)
    assert "int8" not in tried("milliseconds", spec=made_for_it)["other parameters"]
    small = replace(SPEC, evaluation=EvaluationPlan(checks=Checks(int8=1)))
    assert "--set image_size=36" in tried("milliseconds", spec=small)["other parameters"]


def test_a_version_worse_than_prod_starts_again_from_there() -> None:
    assert tried("not_worse_than_prod", incumbent=2)["start from the weights in prod"].endswith("--weights 2 --watch")


def test_a_version_that_went_on_from_prod_and_lost_by_it_does_not_begin_there_again_as_it_was() -> None:
    found = tried("not_worse_than_prod", incumbent=2, continued=True)
    assert "start from the weights in prod" not in found
    command = found["a lower learning rate, from the weights in prod"]
    assert options(command)["--weights"] == ["2"]
    assert "learning_rate=0.0005" in options(command)["--set"]


def test_twice_the_epochs_get_twice_the_time() -> None:
    assert "--max-minutes 120" in tried("accuracy")["other parameters"]


def test_every_corruption_has_something_against_it() -> None:
    shares = {field.name for field in fields(HyperParameters)}
    for weakest in CORRUPTIONS:
        command = tried("robustness_drop", weakest=weakest)["other parameters"]
        settings = {value.partition("=")[0] for value in options(command)["--set"]} - {"epochs"}
        assert settings, weakest
        assert settings <= shares
