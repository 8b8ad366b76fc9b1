"""What a soak does when."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.serving.timetable import Plan, timetable


@st.composite
def plans(draw) -> Plan:
    return Plan(
        seconds=draw(st.floats(1, 2000)),
        swap_every=draw(st.floats(2, 60)),
        outage_every=draw(st.floats(60, 500)),
        outage_seconds=draw(st.floats(1, 30)),
        settling=draw(st.floats(0, 15)),
    )


@given(plans())
def test_nobody_moves_a_channel_or_ends_an_experiment_while_the_store_is_away(plan: Plan):
    away = experiment = False
    for event in timetable(plan):
        assert 0 <= event.at <= plan.seconds + plan.swap_every
        match event.action:
            case "outage":
                assert not experiment
                away = True
            case "outage over":
                assert away
                away = False
            case "experiment":
                assert not away
                assert not experiment
                experiment = True
            case "experiment over":
                assert experiment
                experiment = False
            case "swap":
                assert not away
                assert not experiment, "a swap would make the experiment void"
    assert not away
    assert not experiment


def test_ten_minutes_have_swaps_experiments_and_outages():
    actions = [event.action for event in timetable(Plan())]
    assert actions.count("outage") == 5
    assert actions.count("swap") > 35
    assert actions.count("experiment") > 15
