"""The log of a channel's experiments."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.channels.channel import Channel
from registry.channels.experiment import Conclusion, Experiment, Experiments
from registry.channels.experiment_rule import Evidence, Rule
from registry.encoding import canonical, format_time, parse_canonical, sha256_hex
from registry.errors import HistoryBroken
from registry.errors.experiments import ExperimentEnded, ExperimentMalformed, ExperimentRunning, SameVersion
from registry.layout.model_store import experiment_key
from registry.maintenance.fsck import inspect
from registry.store.memory_store import MemoryStore
from registry.version import StoredFile, Version

NOW = datetime(2030, 1, 1, tzinfo=UTC)
UNITS = st.text(max_size=40)


def version(number: int) -> Version:
    return Version(
        model="pets",
        number=number,
        created_at=format_time(NOW),
        files=(StoredFile(name="model.onnx", sha256="0" * 64, bytes=1),),
        labels=("cat", "dog"),
        metrics={},
        lineage={},
    )


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def champion(store):
    return Channel(store, "pets", "prod").move(version(1), by="mia", why="first")


@pytest.fixture
def experiments(store):
    return Experiments(store, "pets", "prod", clock=lambda: NOW)


def begin(experiments, champion, number=2, **changes) -> Experiment:
    settings = {"mode": "canary", "share": 0.1, "rule": Rule(), "until": NOW + timedelta(hours=1), **changes}
    return experiments.start(version(number), champion, by="mia", why="try", **settings)


def end(experiments, experiment, outcome="stopped") -> Conclusion:
    return experiments.conclude(
        experiment, outcome=outcome, reasons=("enough",), evidence=Evidence(compared=3, endpoints=1), by="mia"
    )


def test_what_was_begun_is_what_others_read_until_it_is_ended(store, experiments, champion):
    follower = Experiments(store, "pets", "prod", clock=lambda: NOW)
    assert follower.running(champion) is None
    begun = begin(experiments, champion)
    assert follower.running(champion) == begun
    ended = end(experiments, begun)
    assert follower.running(champion) is None
    assert follower.history() == [begun, ended]


def test_an_experiment_is_void_without_a_word_when_its_champion_goes_or_its_time_is_over(store, experiments, champion):
    begin(experiments, champion)
    moved = Channel(store, "pets", "prod").move(version(3), by="mia", why="other")
    assert experiments.running(moved) is None
    assert experiments.running(champion) is not None
    late = Experiments(store, "pets", "prod", clock=lambda: NOW + timedelta(hours=1))
    assert late.running(champion) is None


def test_a_channel_holds_one_experiment_at_a_time(experiments, champion):
    begun = begin(experiments, champion)
    with pytest.raises(ExperimentRunning, match="version 2"):
        begin(experiments, champion, number=3)
    end(experiments, begun)
    assert begin(experiments, champion, number=3).number == 3


def test_of_two_who_begin_at_once_one_wins_and_the_other_learns_of_it(store, champion):
    first, second = (Experiments(store, "pets", "prod", clock=lambda: NOW) for _ in range(2))
    assert first.head() is second.head() is None
    second.head = lambda: None  # it looked before the first one wrote
    begin(first, champion)
    with pytest.raises(ExperimentRunning):
        begin(second, champion, number=3)


def test_of_two_who_end_it_at_once_one_wins_and_the_other_learns_of_it(store, experiments, champion):
    begun = begin(experiments, champion)
    slow = Experiments(store, "pets", "prod", clock=lambda: NOW)
    slow.head()
    slow.head = lambda: begun
    end(experiments, begun, "promoted")
    with pytest.raises(ExperimentEnded, match="promoted"):
        end(slow, begun)


def test_what_is_in_force_cannot_challenge_itself(experiments, champion):
    with pytest.raises(SameVersion):
        begin(experiments, champion, number=1)


@pytest.mark.parametrize(
    "changes", [{"share": 0.0}, {"share": 1.5}, {"mode": "all"}, {"until": NOW}], ids=["none", "more", "mode", "over"]
)
def test_an_experiment_that_makes_no_sense_is_not_begun(store, experiments, champion, changes):
    with pytest.raises(ValueError, match=r"cannot be|not after"):
        begin(experiments, champion, **changes)
    assert list(store.keys("pets/experiments/")) == []


@given(UNITS, st.floats(0.01, 1), st.floats(0.01, 1))
def test_who_belongs_to_a_share_belongs_to_every_larger_one(unit, one, other):
    small, large = sorted((one, other))
    begun = a_beginning()
    assert replace(begun, share=small).chooses(unit) <= replace(begun, share=large).chooses(unit)
    assert replace(begun, share=1.0).chooses(unit)


def test_about_a_share_of_units_is_drawn_and_another_experiment_draws_anew():
    begun = replace(a_beginning(), share=0.2)
    drawn = {unit for unit in range(5000) if begun.chooses(str(unit))}
    assert 0.18 < len(drawn) / 5000 < 0.22
    again = {unit for unit in range(5000) if replace(begun, number=3).chooses(str(unit))}
    assert 0.1 < len(drawn & again) / len(drawn) < 0.3


def a_beginning() -> Experiment:
    store = MemoryStore()
    champion = Channel(store, "pets", "prod").move(version(1), by="mia", why="first")
    return begin(Experiments(store, "pets", "prod", clock=lambda: NOW), champion)


@pytest.mark.parametrize("body", [b"junk", b"{}", b'{"kind":"start"}'])
def test_an_object_that_is_no_entry_is_named_and_stops_nobody(store, experiments, champion, body):
    store.create(experiment_key("pets", "prod", 1), body)
    assert experiments.running(champion) is None
    assert isinstance(experiments.passed_over[1], ExperimentMalformed)
    begun = begin(experiments, champion)
    store.create(experiment_key("pets", "prod", 3), body)
    ended = end(experiments, begun)
    assert (begun.number, ended.number, ended.experiment) == (2, 4, 2)
    assert Experiments(store, "pets", "prod").history() == [begun, ended]


def test_a_log_that_was_rewritten_is_noticed(store, experiments, champion):
    begun = begin(experiments, champion)
    end(experiments, begun)
    key = experiment_key("pets", "prod", 1)
    store.delete(key)
    store.create(key, replace(begun, why="another reason").to_bytes())
    with pytest.raises(HistoryBroken):
        Experiments(store, "pets", "prod").history()
    assert not inspect(store, "pets", verifier=None).sound


def written_by_hand(experiments, entry, **changes):
    """An entry that its writer did not check, behind the last one."""
    head = experiments.head()
    changed = replace(entry, number=head.number + 1, previous_sha256=sha256_hex(head.to_bytes()), **changes)
    key = experiment_key("pets", "prod", changed.number)
    experiments.chain.log.append(changed.number, changed.to_bytes())
    return key


def test_an_end_ends_the_experiment_before_it_and_no_other(experiments, champion):
    first = begin(experiments, champion)
    ended = end(experiments, first)
    begin(experiments, champion)
    written_by_hand(experiments, ended)  # of experiment 1, which ended already
    with pytest.raises(HistoryBroken, match="experiments of prod") as broken:
        experiments.head()
    assert "entry 4 to end experiment 3" in broken.value.expected
    assert ended.by in broken.value.actual
    assert ended.at in broken.value.actual


def test_an_end_needs_a_beginning_and_a_beginning_an_end(store, experiments, champion):
    first = begin(experiments, champion)
    second = Experiments(store, "pets", "prod", clock=lambda: NOW)
    written_by_hand(second, first, why="two at once")
    with pytest.raises(HistoryBroken) as broken:
        experiments.head()
    assert "entry 2 to end experiment 1" in broken.value.expected

    other = MemoryStore()
    log = Experiments(other, "pets", "prod", clock=lambda: NOW)
    ended = end(log, begin(log, champion))
    written_by_hand(log, ended, experiment=2)
    with pytest.raises(HistoryBroken) as broken:
        log.head()
    assert "entry 3 to begin one" in broken.value.expected


def test_who_comes_second_learns_who_was_first_and_with_what(store, experiments, champion):
    first, second = (Experiments(store, "pets", "prod", clock=lambda: NOW) for _ in range(2))
    assert first.head() is second.head() is None
    second.head = lambda: None  # it looked before the first one wrote
    begun = begin(first, champion)
    told = "experiment 1 with version 2, begun by mia at 2030-01-01T00:00:00.000000Z"
    for late in (second, first):
        with pytest.raises(ExperimentRunning) as refused:
            begin(late, champion, number=3)
        assert refused.value.expected == "channel prod without an experiment"
        assert refused.value.actual == told
    end(first, begun, "promoted")
    with pytest.raises(ExperimentEnded) as refused:
        end(experiments, begun)
    assert refused.value.expected == "experiment 1 of channel prod to be running"
    assert refused.value.actual == "its end: promoted, by mia at 2030-01-01T00:00:00.000000Z"


def test_an_experiment_that_is_in_no_log_cannot_be_ended(experiments, champion):
    begun = begin(experiments, champion)
    other = replace(begun, number=7)
    with pytest.raises(ExperimentEnded) as refused:
        end(experiments, other)
    assert refused.value.actual == "no such experiment in the log"


def test_an_entry_holds_what_was_decided(experiments, champion):
    begun = begin(experiments, champion, share=0.25, rule=Rule(least=9), until=NOW + timedelta(days=2))
    assert (begun.channel, begun.number, begun.version, begun.champion, begun.entry) == ("prod", 1, 2, 1, 1)
    assert (begun.mode, begun.share, begun.rule, begun.by, begun.why) == ("canary", 0.25, Rule(least=9), "mia", "try")
    assert (begun.at, begun.until) == (format_time(NOW), format_time(NOW + timedelta(days=2)))
    assert (begun.digest, begun.previous_sha256) == (version(2).digest, None)
    ended = end(experiments, begun, "rejected")
    assert (ended.channel, ended.number, ended.experiment, ended.outcome) == ("prod", 2, 1, "rejected")
    assert (ended.reasons, ended.evidence) == (("enough",), Evidence(compared=3, endpoints=1))
    assert (ended.by, ended.at, ended.previous_sha256) == ("mia", format_time(NOW), sha256_hex(begun.to_bytes()))
    again = begin(experiments, champion)
    assert again.previous_sha256 == sha256_hex(ended.to_bytes())
    assert len({begun.write_id, ended.write_id, again.write_id}) == 3


def test_an_experiment_is_void_from_the_moment_at_which_it_should_end(store, experiments, champion):
    begun = begin(experiments, champion)
    for late, running in ((timedelta(minutes=59), True), (timedelta(hours=1), False)):
        at = Experiments(store, "pets", "prod", clock=lambda late=late: NOW + late)
        assert (at.running(champion) == begun) is running


@pytest.mark.parametrize(
    "changes",
    [
        {"previous_sha256": "junk"}, {"write_id": "x"}, {"digest": "x"}, {"channel": "Prod"}, {"number": 2},
        {"version": 0}, {"champion": 0}, {"entry": 0}, {"mode": "all"}, {"share": 0.0}, {"share": 1.01},
        {"at": "today"}, {"until": "2029-01-01T00:00:00.000000Z"}, {"previous_sha256": "0" * 64},
    ],
)  # fmt: skip
def test_an_entry_with_a_value_that_cannot_be_is_passed_over(store, experiments, champion, changes):
    begun = begin(experiments, champion)
    stored = parse_canonical(begun.to_bytes()).rest()
    other = MemoryStore()
    other.create(experiment_key("pets", "prod", 1), canonical(stored | changes))
    log = Experiments(other, "pets", "prod")
    if changes.get("number"):
        with pytest.raises(HistoryBroken):
            log.head()
    else:
        assert log.head() is None
        assert isinstance(log.passed_over[1], ExperimentMalformed)
        assert experiment_key("pets", "prod", 1) in str(log.passed_over[1])
