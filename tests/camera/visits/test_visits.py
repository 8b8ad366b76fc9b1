"""Hysteresis: a dog is one visit, not five hundred frames."""

import itertools
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from camera.settings import VisitRules
from camera.visits.visits import Began, ClassifiedFrame, Ended, Ending, VisitTracker, advance, close, elapse

RULES = VisitRules(confirm_seconds=1.0, leave_seconds=5.0, quiet_seconds=60.0)
STEP = 0.2


def seen(at: float, dog: float, *, moving: bool = True, picture: str = "") -> ClassifiedFrame[str]:
    return ClassifiedFrame(at=at, probabilities={"dog": dog, "cat": 1 - dog}, moving=moving, picture=picture)


def play(frames, rules=RULES, end=None):
    presence, changes = VisitTracker(), []
    for frame in frames:
        presence, more = advance(presence, frame, rules)
        changes += [(frame.at, change) for change in more]
    if end is not None:
        presence, more = elapse(presence, end, rules)
        changes += [(end, change) for change in more]
    return presence, changes


def kinds(changes):
    return [(type(change).__name__, change.track.label) for _, change in changes]


def test_a_dog_that_stays_for_five_hundred_frames_is_one_visit():
    frames = [seen(number * STEP, 0.95) for number in range(500)]
    _, changes = play(frames, end=200.0)
    assert kinds(changes) == [("Began", "dog"), ("Ended", "dog")]
    ended = changes[-1][1]
    assert isinstance(ended, Ended)
    assert (ended.track.first, ended.track.last, ended.why) == (0.0, frames[-1].at, Ending.UNSEEN)


def test_a_single_sure_frame_among_others_is_no_visit():
    frames = [seen(number * STEP, 0.99 if number % 4 == 0 else 0.5) for number in range(100)]
    assert kinds(play(frames, end=100)[1]) == []


def test_a_doubtful_stretch_shorter_than_leaving_does_not_split_a_visit():
    scores = [0.9] * 20 + [0.3] * 20 + [0.9] * 20
    frames = [seen(number * STEP, score) for number, score in enumerate(scores)]
    assert kinds(play(frames)[1]) == [("Began", "dog")]


def test_a_visit_whose_frames_speak_against_it_ends_as_left_and_one_without_frames_as_unseen():
    there = [seen(number * STEP, 0.95) for number in range(20)]
    away = [seen(4 + number * STEP, 0.5) for number in range(40)]
    assert [change.why for _, change in play(there + away)[1] if isinstance(change, Ended)] == [Ending.LEFT]
    assert [change.why for _, change in play(there, end=60)[1] if isinstance(change, Ended)] == [Ending.UNSEEN]


def test_nothing_begins_without_motion_and_a_scene_without_motion_ends_a_visit():
    still = [seen(number * STEP, 0.99, moving=False) for number in range(1000)]
    assert kinds(play(still)[1]) == []
    moved = [seen(number * STEP, 0.99, moving=number < 10) for number in range(1000)]
    _, changes = play(moved)
    assert kinds(changes) == [("Began", "dog"), ("Ended", "dog")]
    assert [change.why for _, change in changes if isinstance(change, Ended)] == [Ending.QUIET]
    assert 60 <= changes[-1][0] <= 63


def test_a_label_for_an_empty_scene_is_no_visitor():
    frames = [
        ClassifiedFrame(at=number * STEP, probabilities={"empty": 0.99, "dog": 0.01}, moving=True, picture="")
        for number in range(50)
    ]
    assert kinds(play(frames)[1]) == []


def test_the_best_frame_stands_for_a_visit():
    scores = [0.85, 0.9, 0.99, 0.9, 0.85, 0.9, 0.9]
    frames = [seen(number * 0.25, score, picture=f"frame {number}") for number, score in enumerate(scores)]
    (began,) = (change for _, change in play(frames)[1])
    assert (began.track.best.score, began.track.best.picture) == (0.99, "frame 2")


def test_closing_ends_the_visits_under_way_and_no_candidate():
    presence, _ = play([seen(number * STEP, 0.95) for number in range(20)])
    after, changes = close(presence)
    assert [(change.track.label, change.why) for change in changes] == [("dog", Ending.STOPPED)]
    assert after.visiting == ()
    assert close(play([seen(0.0, 0.95)])[0])[1] == []


@dataclass(frozen=True)
class Step:
    gap: float
    dog: float
    moving: bool


STEPS = st.lists(
    st.builds(
        Step,
        gap=st.sampled_from([0.05, 0.2, 0.2, 0.2, 1.0, 4.0, 6.0, 70.0]),
        dog=st.sampled_from([0.0, 0.1, 0.5, 0.6, 0.7, 0.8, 0.95, 0.95, 0.95]),
        moving=st.booleans(),
    ),
    max_size=80,
)


@given(STEPS)
def test_whatever_is_seen_visits_are_confirmed_apart_and_ended_once(steps):
    """No visit is shorter than the confirmation; ends follow beginnings; frames that kept a visit spoke for it."""
    frames, at = [], 0.0
    for step in steps:
        at += step.gap
        frames.append(seen(at, step.dog, moving=step.moving))
    _, changes = play(frames, end=at + 1000)
    for label in ("dog", "cat"):
        mine = [change for _, change in changes if change.track.label == label]
        assert [type(change) for change in mine] == [Began, Ended] * (len(mine) // 2)
        previous = None
        for began, ended in zip(mine[::2], mine[1::2], strict=True):
            assert ended.track.last - ended.track.first >= RULES.confirm_seconds
            assert began.track.first == ended.track.first
            spoke = [f for f in frames if ended.track.first <= f.at <= ended.track.last]
            voices = [f.at for f in spoke if f.probabilities[label] >= RULES.stay]
            assert spoke[0].moving
            assert spoke[0].probabilities[label] >= RULES.enter
            assert all(later - earlier < RULES.leave_seconds for earlier, later in itertools.pairwise(voices))
            assert previous is None or ended.track.first > previous
            previous = ended.track.last


@given(STEPS)
@example(  # two end within one gap, the one that was seen first last
    [
        Step(gap=0.05, dog=0.8, moving=True),
        Step(gap=1.0, dog=0.6, moving=False),
        Step(gap=0.05, dog=0.0, moving=True),
        Step(gap=1.0, dog=0.0, moving=False),
        Step(gap=1.0, dog=0.6, moving=False),
        Step(gap=6.0, dog=0.0, moving=False),
    ]
)
def test_time_may_pass_in_any_pieces_between_frames(steps):
    """The agent lets time pass when it likes; what visits there are does not depend on it."""
    plain, ticked, at = VisitTracker(), VisitTracker(), 0.0
    found, also = [], []
    for step in steps:
        at += step.gap
        frame = seen(at, step.dog, moving=step.moving)
        for part in range(1, 4):
            ticked, more = elapse(ticked, at - step.gap * (1 - part / 4), RULES)
            also += more
        ticked, more = advance(ticked, frame, RULES)
        also += more
        plain, more = advance(plain, frame, RULES)
        found += more
    assert [(type(c), c.track) for c in found] == [(type(c), c.track) for c in also]
    assert plain.tracks == ticked.tracks
