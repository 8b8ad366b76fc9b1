"""Whatever people decide and in whatever order: what answers is certified, and what can answer does."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from registry.errors import NothingToRollBackTo
from tests.examples import examples
from tests.serving.park import Park

VERSIONS = st.integers(1, 3)
STEPS = st.one_of(
    st.tuples(st.just("promote"), VERSIONS),
    st.tuples(st.sampled_from(["certified", "revoked", "refused"]), VERSIONS),
    st.tuples(st.just("litter"), VERSIONS),
    st.sampled_from([("roll back", 0), ("days pass", 0), ("restart", 0), ("trouble", 0), ("poll", 0), ("poll", 0)]),
)


@dataclass
class Expected:
    """The same by other means: what is decided about each version, and the channel as a pile that roll back undoes."""

    decision: dict[int, str] = field(default_factory=dict)
    until: dict[int, int] = field(default_factory=dict)
    pile: list[int] = field(default_factory=list)
    day: int = 0

    def admits(self, version: int) -> bool:
        return self.decision.get(version) == "certified" and self.until[version] > self.day

    def last_good(self) -> int | None:
        return next((version for version in reversed(self.pile) if self.admits(version)), None)

    def roll_back(self) -> None:
        last = self.pile[-1]
        while self.pile[-1] == last:
            self.pile.pop()


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=14))
@example(
    steps=[
        *[("certified", number) for number in (1, 2, 3)],
        *[("promote", number) for number in (1, 2, 1, 2, 3)],
        ("poll", 0),
        ("revoked", 2),
        ("revoked", 3),
        ("poll", 0),
        ("roll back", 0),
        ("restart", 0),
        ("certified", 3),
        ("poll", 0),
    ]
)
def test_what_answers_is_certified_and_what_can_answer_does(tmp_path_factory, open_endpoint, steps):
    park = Park(tmp_path_factory.mktemp("versions"))
    versions = {number: park.publish(sharpness=float(number)) for number in (1, 2, 3)}
    expected = Expected()
    endpoint = open_endpoint(park=park)
    for what, number in steps:
        match what:
            case "promote":
                park.release(versions[number])
                expected.pile.append(number)
            case "certified" | "revoked" | "refused":
                park.certify(versions[number], decision=what)
                expected.decision[number] = what
                expected.until[number] = expected.day + 30
            case "litter":
                park.litter(number)
            case "roll back":
                try:
                    park.roll_back()
                except NothingToRollBackTo:
                    assert len(set(expected.pile)) < 2
                else:
                    expected.roll_back()
            case "days pass":
                park.pass_days(20)
                expected.day += 20
            case "restart":
                endpoint = open_endpoint(park=park)
                endpoint.follow()
                assert endpoint.in_force == expected.last_good()
            case "trouble":
                park.store.away = True
                endpoint.follow()
                park.store.away = False
            case _:
                park.seconds += 60
                endpoint.follow()
                answers = endpoint.answers
                assert answers is None or expected.decision[answers] == "certified"
                assert answers is not None or expected.last_good() is None
                if expected.pile and expected.admits(expected.pile[-1]):
                    assert answers == expected.pile[-1]
