"""Windows against a reference: level, power, order, sentences, and what recording left out."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.drift import SHOWN, Detector, Finding, as_reference
from monitoring.levels import LEVELS, WINDOWS_A_MONTH, false_alarms_a_month
from monitoring.windows import Window
from tests.monitoring.made import STATISTICS, World

WORLD = World(1)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 99])


def test_all_tests_together_are_expected_to_raise_less_than_one_false_alarm_a_month():
    assert pytest.approx(WINDOWS_A_MONTH, abs=0.01) == 730.5
    assert false_alarms_a_month() == pytest.approx(0.73, abs=0.005)
    assert false_alarms_a_month() < 1


def test_the_family_of_tests_keeps_its_level_over_references_and_windows():
    """At 100 times the levels, so that a simulation of some hundred windows can tell."""
    levels = {name: 100 * level for name, level in LEVELS.items()}
    trials, found = 120, 0
    for trial in range(trials):
        rng = rng_of(trial)
        detector = Detector(reference=WORLD.reference(60, rng), levels=levels)
        found += bool(detector.examine(WORLD.window(50, rng)).drifted)
    assert found / trials < 100 * sum(LEVELS.values()) + 3 * (0.1 * 0.9 / trials) ** 0.5


def test_a_large_shift_is_found_by_every_test_and_told_in_a_sentence():
    rng = rng_of(0)
    examined = Detector(reference=WORLD.reference(300, rng)).examine(WORLD.window(200, rng, 4.0))
    found = {each.test: each for each in examined.drifted}
    assert set(found) == set(LEVELS) - {"traffic"}
    assert "the median brightness is 4" in found["inputs"].sentence or "median contrast" in found["inputs"].sentence
    assert found["outputs"].sentence.startswith("the mean probability of cat is")
    assert [each.p_value for each in examined.drifted] == sorted(each.p_value for each in examined.drifted)
    assert 0 < len(examined.strange) <= SHOWN


def test_photos_are_named_only_where_something_drifted():
    rng = rng_of(1)
    examined = Detector(reference=WORLD.reference(300, rng)).examine(WORLD.window(200, rng))
    assert examined.drifted == ()
    assert examined.strange == ()


def test_the_order_of_photos_changes_nothing_and_strange_ones_are_named_by_their_own_places():
    rng = rng_of(2)
    detector = Detector(reference=WORLD.reference(200, rng))
    window, order = WORLD.window(100, rng, 2.0), rng.permutation(100)
    one, other = detector.examine(window), detector.examine(window.take(order))
    assert one.findings == other.findings
    assert list(one.strange) == [int(order[place]) for place in other.strange]


def test_a_larger_shift_is_no_less_clear():
    detector = Detector(reference=WORLD.reference(200, rng_of(3)))
    examined = [detector.examine(WORLD.window(80, rng_of(4), shift)) for shift in (0.0, 5.0, 10.0)]
    p_values = [{each.test: each.p_value for each in one.findings} for one in examined]
    for test in ("outputs", "inputs", "embeddings", "strangeness"):
        none, some, most = (one[test] for one in p_values)
        assert most <= some < none, test


def test_what_was_not_recorded_is_not_tested():
    rng = rng_of(5)
    detector, whole = Detector(reference=WORLD.reference(100, rng)), WORLD.window(60, rng)
    bare = detector.examine(Window(probabilities=whole.probabilities))
    assert [each.test for each in bare.findings] == ["outputs"]
    other = detector.examine(replace(whole, embedding=None, statistic_names=("width", "height")))
    assert [each.test for each in other.findings] == ["outputs", "strangeness"]


def test_statistics_are_compared_by_name_and_not_by_place():
    rng = rng_of(6)
    detector, window = Detector(reference=WORLD.reference(300, rng)), WORLD.window(200, rng)
    assert window.statistics is not None
    shifted = window.statistics + np.array([0, 9], dtype=np.float32)
    turned = replace(window, statistic_names=STATISTICS[::-1], statistics=shifted[:, ::-1])
    inputs = next(each for each in detector.examine(turned).findings if each.test == "inputs")
    assert inputs.drifted
    assert "contrast" in inputs.sentence


def test_arrays_of_another_model_are_refused():
    rng = rng_of(7)
    detector, window = Detector(reference=WORLD.reference(50, rng)), WORLD.window(50, rng)
    with pytest.raises(ValueError, match="probabilities"):
        detector.examine(replace(window, probabilities=np.full((50, 3), 1 / 3)))
    assert window.embedding is not None
    with pytest.raises(ValueError, match="embeddings of 23 numbers"):
        detector.examine(replace(window, embedding=window.embedding[:, 1:]))


def test_a_night_is_no_drift_where_the_version_was_validated_by_night_and_is_where_it_was_not():
    names = ("chroma", "brightness")

    def lit(window: Window, dark: np.ndarray, rng: np.random.Generator) -> Window:
        light = np.where(dark, 0.1, 0.5) + rng.normal(scale=0.02, size=len(dark))
        statistics = np.stack([np.where(dark, 0.0, 0.2), light], axis=1).astype(np.float32)
        return replace(window, statistic_names=names, statistics=statistics)

    found = 0
    for seed in range(20):
        rng = rng_of(100 + seed)
        seen = lit(WORLD.window(300, rng), rng.uniform(size=300) < 0.3, rng)
        both = replace(WORLD.reference(300, rng), statistic_names=names, statistics=seen.statistics)
        night = lit(WORLD.window(80, rng), np.ones(80, dtype=np.bool_), rng)
        found += bool(Detector(reference=both).examine(night).drifted)
        days = lit(WORLD.window(300, rng), np.zeros(300, dtype=np.bool_), rng)
        assert Detector(reference=replace(both, statistics=days.statistics)).examine(night).drifted
    assert found <= 1


def test_a_window_with_tensors_is_tested_without_the_size_of_photos():
    """Tensors have no photo's size: NaN, in a column that is then not compared; all other tests run."""
    rng = np.random.default_rng(11)
    reference, window = WORLD.reference(200, rng), WORLD.window(120, rng)
    assert window.statistics is not None
    statistics = window.statistics.copy()
    statistics[::2, 1] = np.nan
    found = Detector(reference=reference).examine(replace(window, statistics=statistics))
    whole = Detector(reference=reference).examine(window)
    assert [each.test for each in found.findings] == [each.test for each in whole.findings]
    assert not found.drifted
    with pytest.raises(ValueError, match="the window has no contrast"):
        as_reference(reference, replace(window, statistics=statistics))


def test_a_window_drifted_up_to_the_level_itself():
    found = [Finding(test="inputs", p_value=p, level=0.001, sentence="").drifted for p in (0.0009, 0.001, 0.0011)]
    assert found == [True, True, False]


def test_an_ordinary_window_becomes_a_reference_of_its_own_photos_without_corrupted_ones():
    rng = np.random.default_rng(11)
    version, window = WORLD.reference(200, rng), WORLD.window(120, rng)
    found = as_reference(version, window)
    assert window.statistics is not None
    assert window.strangeness is not None
    assert window.embedding is not None
    assert len(found) == 120
    assert np.array_equal(found.probabilities, window.probabilities.astype(np.float32))
    assert np.array_equal(found.truth, window.probabilities.argmax(axis=1))
    assert np.array_equal(found.embedding, window.embedding.astype(np.float16))
    assert np.array_equal(found.strangeness, window.strangeness.astype(np.float32))
    columns = [window.statistic_names.index(name) for name in version.statistic_names]
    assert np.array_equal(found.statistics, window.statistics[:, columns].astype(np.float32))
    types = [found.probabilities.dtype, found.truth.dtype, found.embedding.dtype, found.statistics.dtype]
    assert types == [np.float32, np.uint16, np.float16, np.float32]
    worse = (found.worse_probabilities, found.worse_truth, found.worse_strangeness, found.worse_kind)
    assert [len(each) for each in worse] == [0, 0, 0, 0]
    assert found.labels == version.labels
