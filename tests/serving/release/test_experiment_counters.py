"""What one process counts of an experiment, without an endpoint around it."""

import pytest
from prometheus_client import CollectorRegistry

from registry.channels.experiment_rule import Arm, Evidence, Pair
from serving.inference.loaded_model import Prediction
from serving.release.experiment_counters import LOOKED_BACK, TRIPS_AT, ExperimentCollector, ExperimentCounters


def found(label: str, confidence: float = 0.75, seconds: float = 0.5) -> Prediction:
    return Prediction(label=label, probabilities={label: confidence, "rest": 1 - confidence}, seconds=seconds)


def test_an_answer_adds_to_its_own_arm_with_the_squares_that_variances_need():
    counters = ExperimentCounters()
    counters.answered("champion", found("cat"))
    counters.answered("champion", found("dog", 0.5, 0.25))
    counters.answered("challenger", found("cat"))
    counters.failed("challenger")
    counters.left_out()
    once = Arm(answers=1, seconds=0.5, seconds_squared=0.25, confidence=0.75, confidence_squared=0.5625)
    twice = once + Arm(answers=1, seconds=0.25, seconds_squared=0.0625, confidence=0.5, confidence_squared=0.25)
    assert counters.evidence == Evidence(
        endpoints=1, champion=twice, challenger=once + Arm(failures=1), left_out=1
    )  # fmt: skip


def test_a_comparison_counts_agreement_and_names_only_photos_with_two_labels():
    counters = ExperimentCounters()
    counters.compared("r1", found("cat", 0.75), found("cat", 0.5))
    counters.compared("r2", found("cat", 0.75), found("dog", 0.5))
    counters.compared("r3", found("cat", 0.75), found("dog", 0.5), strange=True)
    evidence = counters.evidence
    assert (evidence.compared, evidence.disagreed) == (3, 2)
    assert evidence.pairs == (
        Pair(champion="cat", challenger="cat", photos=1, doubt=0.75),
        Pair(champion="cat", challenger="dog", photos=2, doubt=0.75 + 1.5, examples=("r2", "r3")),
    )


@pytest.mark.parametrize(("failures", "tripped"), [(TRIPS_AT - 1, False), (TRIPS_AT, True)])
def test_a_challenger_ends_its_part_with_enough_failures_among_its_latest_answers(failures, tripped):
    counters = ExperimentCounters()
    for _ in range(failures):
        counters.failed("challenger")
        counters.failed("champion")
    assert counters.tripped is tripped
    for _ in range(2 * LOOKED_BACK):
        counters.answered("challenger", found("cat"))
    assert counters.tripped is tripped, "it does not come back"


def test_failures_that_are_long_ago_end_nothing():
    counters = ExperimentCounters()
    for _ in range(TRIPS_AT - 1):
        counters.failed("challenger")
    for _ in range(LOOKED_BACK):
        counters.answered("challenger", found("cat"))
    for _ in range(TRIPS_AT - 1):
        counters.failed("challenger")
    assert not counters.tripped


def test_metrics_are_those_of_the_running_experiment_and_none_without_one():
    registry = CollectorRegistry()
    collector = ExperimentCollector(registry)
    assert [sample for family in registry.collect() for sample in family.samples] == []
    collector.number, collector.counters = 7, ExperimentCounters()
    collector.counters.answered("champion", found("cat"))
    collector.counters.failed("challenger")
    collector.counters.compared("r", found("cat"), found("dog"))
    collector.counters.left_out()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"petpark_experiment_{name}_total", {"experiment": "7", **labels})

    by_arm = {"answers": (1, 0), "failures": (0, 1), "seconds": (0.5, 0), "confidence": (0.75, 0)}
    for name, values in by_arm.items():
        assert (value(name, arm="champion"), value(name, arm="challenger")) == values
    assert {name: value(name) for name in ("compared", "disagreed", "left_out")} == {
        "compared": 1, "disagreed": 1, "left_out": 1,
    }  # fmt: skip
    assert all(family.documentation for family in registry.collect())
