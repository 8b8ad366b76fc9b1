"""Which frames are worth a question."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from camera.capture.sampling import HEIGHT, WIDTH, Motion, Pace, Sampler

GREY = np.full((HEIGHT, WIDTH), 120, dtype=np.uint8)


def noisy(seed: int, base=GREY, spread: int = 2):
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, base.shape)
    return (base.astype(np.int16) + noise).clip(0, 255).astype(np.uint8)


def with_animal(column: int):
    frame = GREY.copy()
    frame[20:24, column : column + 6] = 30
    return frame


@given(st.floats(0.5, 30), st.lists(st.floats(0.001, 0.2), min_size=1, max_size=300))
def test_frames_are_let_through_at_the_asked_rate_and_no_faster(rate, gaps):
    pace = Pace(rate)
    times = np.cumsum(gaps)
    through = [time for time in times if pace.due(time)]
    assert through[0] == times[0]
    assert len(through) <= (times[-1] - times[0]) * rate + 2


def test_jitter_does_not_add_up():
    pace = Pace(5)
    source = np.random.default_rng(3)
    times = np.arange(0, 60, 0.04) + source.uniform(0, 0.03, 1500)
    assert 298 <= sum(pace.due(time) for time in times) <= 302


def test_noise_and_light_are_no_motion():
    motion = Motion()
    assert not any(motion.moving(noisy(number)) for number in range(50))
    assert not motion.moving(noisy(60) + np.uint8(40))


def test_an_animal_that_walks_is_motion_and_one_that_sleeps_is_not_for_long():
    motion = Motion()
    motion.moving(GREY)
    assert all(motion.moving(with_animal(column)) for column in range(0, 50, 3))
    asleep = [motion.moving(with_animal(48)) for _ in range(40)]
    assert asleep[0]
    assert not any(asleep[-10:])


def test_without_motion_a_frame_is_asked_about_now_and_then_and_with_motion_always():
    sampler = Sampler(per_second=5, still_seconds=2)
    asked = [sampler.judge(GREY, number * 0.2).classify for number in range(51)]
    assert sum(asked) == 6
    assert asked[0]
    walking = [sampler.judge(with_animal(number % 50), 20 + number * 0.2) for number in range(0, 45, 3)]
    assert all(verdict.classify and verdict.moving for verdict in walking)
