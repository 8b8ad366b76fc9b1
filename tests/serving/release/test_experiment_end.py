"""Experiments end: by their own end, a move, their time, a certificate, damage."""

from datetime import timedelta

from registry.channels.experiment_rule import Rule


def test_an_end_is_followed_at_the_next_poll(trial, challenger):
    started = trial.begin(challenger, share=1.0)
    assert trial.ask() == [(2, "challenger")]
    trial.end(started)
    trial.step()
    assert trial.ask() == [(1, None)]
    assert trial.reported is None


def test_an_ended_challenger_answers_no_more_even_where_the_next_one_cannot_be_loaded(trial, challenger, park):
    started = trial.begin(challenger, share=1.0)
    trial.end(started)
    following = park.certified(sharpness=3.0)
    trial.log.start(
        following,
        park.channel.head(),
        mode="canary",
        share=1.0,
        rule=Rule(),
        until=park.now + timedelta(hours=1),
        by="otto",
        why="test",
    )
    park.store.away_for = lambda key: "/versions/" in key
    assert not trial.step()
    assert trial.ask() == [(1, None)]
    park.store.away_for = lambda _: False
    assert trial.step()
    assert trial.ask() == [(3, "challenger")]


def test_a_move_of_the_channel_ends_it_here_at_once(trial, challenger, park, endpoint):
    trial.begin(challenger, share=1.0)
    park.release(park.certified(sharpness=3.0))
    endpoint.follow()
    assert trial.ask() == [(3, None)]
    trial.step()
    assert trial.reported is None


def test_it_ends_when_its_time_is_over_even_where_the_store_is_away(trial, challenger, park):
    trial.begin(challenger, share=1.0, hours=1)
    park.store.away = True
    assert not trial.step()
    assert trial.ask() == [(2, "challenger")]
    park.now += timedelta(hours=2)
    assert not trial.step()
    assert trial.ask() == [(1, None)]


def test_an_uncertified_challenger_answers_nobody_until_it_is_certified(trial, park):
    version = park.publish(sharpness=2.0)
    trial.begin(version, share=1.0)
    assert trial.reported["state"] == "refused"
    assert "NotCertified" in trial.reported["refused"]
    assert trial.ask() == [(1, "champion")]
    park.certify(version)
    trial.step()
    assert trial.ask() == [(2, "challenger")]


def test_a_challenger_of_who_certified_it_answers_nobody(trial, challenger, park):
    trial.begin(challenger, share=1.0, by="quinn")
    assert trial.reported["state"] == "refused"
    assert trial.reported["refused"].startswith("SamePerson")
    assert trial.ask() == [(1, "champion")]
    park.certify(challenger, by="vera")
    trial.step()
    assert trial.ask() == [(2, "challenger")]


def test_a_revoked_challenger_answers_no_more_after_the_next_poll(trial, challenger, park, endpoint):
    trial.begin(challenger, share=1.0)
    trial.ask()
    park.revoke(challenger)
    trial.step()
    assert trial.ask() == [(1, "champion")]
    assert (trial.reported["state"], trial.reported["evidence"]["challenger"]["answers"]) == ("refused", 1)
    park.certify(challenger)
    trial.step()
    assert trial.ask() == [(2, "challenger")]
    assert trial.reported["evidence"]["challenger"]["answers"] == 2  # what was seen before counts still


def test_a_damaged_challenger_is_refused_and_looked_at_again_later(trial, challenger, park):
    park.spoil(challenger, "model.onnx", b"junk")
    trial.begin(challenger, share=1.0)
    assert trial.reported["state"] == "refused"
    request = len(park.store.asked)
    trial.step()
    quiet = len(park.store.asked) - request
    park.seconds += 60
    request = len(park.store.asked)
    trial.step()
    assert len(park.store.asked) - request > quiet
