"""A challenger beside the champion: who answers whom, what is counted, and that no caller pays for it."""

import threading

import pytest

from registry.channels.experiment_rule import EXAMPLES
from registry.layout.model_store import certificate_key
from serving.inference.loaded_model import LoadedModel, Prediction
from serving.release.experiment_counters import PAIRS, TRIPS_AT, ExperimentCounters
from serving.release.shadow import Shadow
from tests.serving.park import photo
from tests.serving.release.conftest import Trial
from tests.serving.test_abstention import abstaining


def test_without_an_experiment_no_answer_names_an_arm(trial):
    assert trial.step()
    assert trial.ask() == [(1, None)]
    assert trial.reported is None


def test_a_canary_answers_the_requests_that_the_experiment_draws_and_no_other(trial, challenger):
    started = trial.begin(challenger, share=0.5)
    drawn = [started.chooses(f"r{number}") for number in range(30)]
    assert trial.ask(30) == [(2, "challenger") if mine else (1, "champion") for mine in drawn]
    evidence = trial.reported["evidence"]
    assert (evidence["challenger"]["answers"], evidence["champion"]["answers"]) == (sum(drawn), 30 - sum(drawn))
    assert trial.endpoint.metric("petpark_experiment_answers_total", experiment="1", arm="challenger") == sum(drawn)


def test_in_ab_a_caller_always_meets_the_same_arm(trial, challenger):
    started = trial.begin(challenger, mode="ab", share=0.5)
    for name in ("gate-1", "gate-2", "pond", "café", "5"):
        arms = {arm for _, arm in trial.ask(4, **{"x-petpark-unit": name.encode()})}
        assert len(arms) == 1
    assert {started.chooses(f"camera {number}") for number in range(20)} == {True, False}


def test_in_ab_a_key_is_a_caller_wherever_it_is_used_from(park, parameters, guarded):
    trial = Trial(park, guarded)
    started = trial.begin(park.certified(sharpness=2.0), mode="ab", share=0.5)
    names = [f"camera-{number}" for number in range(6)]
    keys = {name: parameters.create(name) for name in names}
    guarded.ring.refresh()
    assert {started.chooses(name) for name in names} == {True, False}
    for name, key in keys.items():
        arm = "challenger" if started.chooses(name) else "champion"
        assert {met for _, met in trial.ask(2, authorization=f"Bearer {key}")} == {arm}


def test_a_shadow_is_compared_and_never_returned(trial, park):
    park.certified(sharpness=4.0)
    opposite = park.certified(sharpness=-4.0)
    trial.begin(opposite, mode="shadow", share=1.0)
    assert set(trial.ask(5)) == {(1, "champion")}
    trial.endpoint.shadow.settle()
    evidence = trial.reported["evidence"]
    assert (evidence["compared"], evidence["disagreed"]) == (5, 5)
    assert evidence["challenger"]["answers"] == evidence["champion"]["answers"] == 5


def test_what_a_canary_answered_is_compared_with_what_the_champion_says_of_the_same_photo(trial, park):
    park.certified(sharpness=4.0)
    opposite = park.certified(sharpness=-4.0)
    started = trial.begin(opposite, share=0.5)
    trial.ask(30)
    trial.endpoint.shadow.settle()
    drawn = sorted(f"r{number}" for number in range(30) if started.chooses(f"r{number}"))
    evidence = trial.reported["evidence"]
    assert evidence["compared"] == evidence["disagreed"] == len(drawn)
    (pair,) = evidence["pairs"]
    assert (pair["champion"], pair["challenger"], pair["photos"]) == ("cat", "dog", len(drawn))
    assert pair["examples"] == drawn[:EXAMPLES]
    assert pair["doubt"] == pytest.approx(0, abs=0.1)  # both are sure
    assert evidence["champion"]["answers"] == 30 - len(drawn)  # a comparison is no answer


def test_a_champion_that_fails_where_it_is_only_compared_is_no_failure_of_an_answer(trial, challenger, monkeypatch):
    trial.begin(challenger, share=1.0)
    usual = LoadedModel.classify

    def classify(model, photo, **how):
        if model.version.number == 1:
            raise RuntimeError("broken")
        return usual(model, photo, **how)

    monkeypatch.setattr(LoadedModel, "classify", classify)
    assert trial.ask(3) == [(2, "challenger")] * 3
    trial.endpoint.shadow.settle()
    evidence = trial.reported["evidence"]
    assert (evidence["compared"], evidence["champion"]["failures"]) == (0, 0)


def test_pairs_of_labels_are_counted_apart_within_a_bound():
    counters = ExperimentCounters()
    for number in range(PAIRS + 5):
        counters.compared("r", _sure(f"label {number}"), _sure("other"))
    counters.compared("r", _sure("label 0"), _sure("other"))
    evidence = counters.evidence
    assert (len(evidence.pairs), evidence.compared) == (PAIRS, PAIRS + 6)
    assert evidence.pairs[0].photos == 2


def test_where_the_champion_knows_nothing_like_the_photo_its_answer_is_wholly_in_doubt():
    counters = ExperimentCounters()
    for strange in (False, True):
        counters.compared("r", _sure("cat"), _sure("dog"), strange=strange)
    assert counters.evidence.pairs[0].doubt == 0 + 1


def test_a_version_that_can_abstain_says_which_photos_are_strange(park, open_endpoint):
    version = park.publish(change=abstaining(limit=0.5, thresholds=0.0))
    park.certify(version)
    park.release(version)
    endpoint = open_endpoint()
    endpoint.follow()
    trial = Trial(park, endpoint)
    trial.begin(park.certified(sharpness=-4.0), share=1.0)
    for number, colour in enumerate(("red", "blue")):
        endpoint.http.post(
            "/v1/classify",
            content=photo(colour),
            headers={"content-type": "image/jpeg", "x-request-id": f"r{number}"},
        )
    endpoint.shadow.settle()
    doubts = {pair["champion"]: pair["doubt"] for pair in trial.reported["evidence"]["pairs"]}
    assert doubts["dog"] - doubts["cat"] > 0.9, "nothing blue was known"


def _sure(label):
    return Prediction(label=label, probabilities={label: 1.0}, seconds=0.01)


def test_a_shadow_tells_how_long_the_champion_really_took(trial, challenger):
    trial.begin(challenger, mode="shadow", share=1.0)
    trial.ask(3)
    trial.endpoint.shadow.settle()
    evidence = trial.endpoint.model()["experiment"]["evidence"]
    assert evidence["champion"]["answers"] == 3
    assert evidence["champion"]["seconds"] > 0


def test_a_shadow_that_is_busy_leaves_photos_out_and_counts_them(trial, challenger, monkeypatch):
    trial.begin(challenger, mode="shadow", share=1.0)
    monkeypatch.setattr(trial.endpoint.shadow, "offer", lambda _work: False)
    trial.ask(3)
    assert trial.reported["evidence"]["left_out"] == 3


def test_what_does_not_fit_a_shadows_queue_is_refused_at_once():
    shadow = Shadow(waiting=2)
    gate, started, done = threading.Event(), threading.Event(), []

    def hold():
        started.set()
        gate.wait(60)

    def fail():
        raise RuntimeError("out of memory")

    assert shadow.offer(hold)
    assert started.wait(60)
    assert shadow.offer(lambda: done.append(1))
    assert shadow.offer(fail)
    assert not shadow.offer(lambda: done.append(2))
    gate.set()
    shadow.settle()
    assert done == [1]
    assert shadow.offer(lambda: done.append(3))
    shadow.settle()
    assert done == [1, 3]


def broken(trial, monkeypatch):
    """Let version 2 raise whatever photo it sees."""
    usual = LoadedModel.classify

    def classify(model, photo, *, explain=False, record=False):
        if model.version.number == 2:
            raise RuntimeError("out of memory")
        return usual(model, photo, explain=explain)

    monkeypatch.setattr(LoadedModel, "classify", classify)


def test_a_challenger_that_raises_is_counted_and_the_champion_answers(trial, challenger, monkeypatch):
    trial.begin(challenger, share=1.0)
    broken(trial, monkeypatch)
    assert set(trial.ask(3)) == {(1, "champion")}
    assert trial.reported["evidence"]["challenger"]["failures"] == 3
    assert trial.reported["state"] == "answers"


@pytest.mark.parametrize("mode", ["canary", "shadow"])
def test_a_challenger_that_raises_too_often_is_asked_no_more(trial, challenger, monkeypatch, mode):
    trial.begin(challenger, share=1.0, mode=mode)
    broken(trial, monkeypatch)
    for _ in range(TRIPS_AT + 5):
        trial.ask()
        trial.endpoint.shadow.settle()
    assert trial.reported["evidence"]["challenger"]["failures"] == TRIPS_AT
    assert trial.reported["state"] == "tripped"
    assert trial.ask() == [(1, "champion")]


def test_a_champion_that_raises_is_counted_while_a_canary_runs(trial, challenger, monkeypatch):
    started = trial.begin(challenger, share=0.5)
    request = next(name for name in map(str, range(99)) if not started.chooses(name))

    def fail(_model, _photo, *, explain=False, record=False):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(LoadedModel, "classify", fail)
    headers = {"content-type": "image/jpeg", "x-request-id": request}
    assert trial.endpoint.http.post("/v1/classify", content=photo(), headers=headers).status_code == 500
    evidence = trial.reported["evidence"]
    assert (evidence["champion"]["failures"], evidence["challenger"]["failures"]) == (1, 0)


def test_a_photo_that_cannot_be_read_is_nobodys_failure(trial, challenger):
    trial.begin(challenger, share=1.0)
    answer = trial.endpoint.http.post("/v1/classify", content=photo()[:200], headers={"content-type": "image/jpeg"})
    assert answer.status_code == 422
    assert trial.reported["evidence"]["challenger"] == trial.reported["evidence"]["champion"] | {"answers": 0}


def test_a_quiet_poll_of_a_running_experiment_makes_two_requests(trial, challenger, park):
    trial.begin(challenger)
    request = len(park.store.asked)
    trial.step()
    assert park.store.asked[request:] == [
        "pets/experiments/prod/00000002.json",
        certificate_key("pets", 2, 2),
    ]


def test_trouble_with_experiments_touches_no_answer(trial, park, endpoint):
    park.store.away_for = lambda key: key.startswith("pets/experiments/")
    assert not trial.step()
    assert trial.ask() == [(1, None)]
    assert endpoint.http.get("/healthz/ready").status_code == 200


def test_a_restarted_process_draws_the_same_requests(trial, challenger, park, open_endpoint):
    trial.begin(challenger, share=0.5)
    before = trial.ask(10)
    other = open_endpoint()
    other.follow()
    again = Trial(park, other)
    again.step()
    assert again.ask(10) == before
