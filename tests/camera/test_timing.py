"""Clocks that jump: camera's, stream's, machine's."""

from hypothesis import given
from hypothesis import strategies as st

from camera.timing import FrameTimes, TimeSource

NOON = 1_900_000_000.0
SECONDS = st.floats(0, 10_000)
JUMP = st.one_of(st.floats(-1e8, -6), st.floats(6, 1e8))


def stamp(times, *, elapsed=0.0, position=None, camera=None, wall=None):
    return times.stamp(
        position=position, camera=camera, wall=NOON + elapsed if wall is None else wall, monotonic=elapsed
    )


@given(st.floats(-4.9, 4.9))
def test_a_camera_whose_clock_is_right_is_believed(skew):
    said = stamp(FrameTimes(tolerance=5), camera=NOON + skew)
    assert (said.at, said.source) == (NOON + skew, TimeSource.CAMERA)
    assert said.skew is not None
    assert abs(said.skew - skew) < 1e-3


@given(JUMP)
def test_a_camera_whose_clock_is_off_is_not_believed_and_the_arrival_counts(skew):
    said = stamp(FrameTimes(tolerance=5), camera=NOON + skew)
    assert (said.at, said.source) == (NOON, TimeSource.ARRIVAL)
    assert said.skew is not None
    assert abs(said.skew) > 5


def test_a_camera_without_a_clock_is_stamped_on_arrival():
    said = stamp(FrameTimes(tolerance=5))
    assert (said.at, said.source, said.skew) == (NOON, TimeSource.ARRIVAL, None)


@given(SECONDS, SECONDS, JUMP)
def test_each_jump_of_the_machines_clock_is_said_once(first, second, jump):
    times = FrameTimes(tolerance=5)
    assert not stamp(times).machine_jumped
    assert not stamp(times, elapsed=first).machine_jumped
    assert stamp(times, elapsed=first, wall=NOON + first + jump).machine_jumped
    assert not stamp(times, elapsed=first + second, wall=NOON + first + second + jump).machine_jumped


@given(SECONDS, SECONDS, JUMP)
def test_each_jump_of_a_streams_timestamps_is_said_once(first, second, jump):
    times = FrameTimes(tolerance=5)
    assert not stamp(times, position=0).stream_jumped
    assert not stamp(times, elapsed=first, position=first).stream_jumped
    assert stamp(times, elapsed=first, position=first + jump).stream_jumped
    assert not stamp(times, elapsed=first + second, position=first + second + jump).stream_jumped
