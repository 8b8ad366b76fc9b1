"""What every error of the registry has in common: it names the facts that it was given, and what to do next."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from registry import errors
from registry.errors import RegistryError, experiments

VALUES: dict[Any, Callable[[str], Any]] = {
    str: lambda name: f"the {name}",
    str | None: lambda name: f"the {name}",
    int: lambda name: 1000 + sum(map(ord, name)),
    float: lambda _: 0.5,
    float | None: lambda _: 0.25,
    bool: lambda _: True,
    errors.Reason: lambda _: "expired",
    tuple[str, ...]: lambda name: (f"one of {name}", f"another of {name}"),
    Sequence[str]: lambda name: (f"one of {name}", f"another of {name}"),
    Mapping[str, str]: lambda name: {f"one of {name}": "reason", f"another of {name}": "other reason"},
}
"""A value that a text can be searched for, by the parameter's type."""
NOT_IN_THE_TEXT = {("NotCertified", "reason"), ("NotCertified", "public"), ("ChannelMoved", "entry")}
"""For programs, which read them as attributes."""


def _all(of: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for each in of.__subclasses__():
        yield each
        yield from _all(each)


ERRORS = sorted(
    {each for each in _all(RegistryError) if each.__module__.startswith("registry.errors")},
    key=lambda each: each.__name__,
)


def _parameters(error: type[RegistryError]) -> list[inspect.Parameter]:
    return list(inspect.signature(error).parameters.values())


def _facts(error: type[RegistryError]) -> dict[str, Any]:
    return {each.name: VALUES[each.annotation](each.name) for each in _parameters(error)}


def _made(error: type[RegistryError], facts: dict[str, Any]) -> RegistryError:
    named = {each.name for each in _parameters(error) if each.kind is inspect.Parameter.KEYWORD_ONLY}
    return error(
        *(value for name, value in facts.items() if name not in named),
        **{name: value for name, value in facts.items() if name in named},
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, bool):
        return []
    if isinstance(value, dict):
        return [text for pair in value.items() for text in pair]
    return list(value) if isinstance(value, tuple) else [str(value)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_names_every_fact_that_it_was_given(error: type[RegistryError]):
    facts = _facts(error)
    made = _made(error, facts)
    for name, value in facts.items():
        for text in _texts(value) if (error.__name__, name) not in NOT_IN_THE_TEXT else ():
            assert text in str(made), name
    assert "{" not in str(made)
    assert "None" not in str(made).replace("If-None-Match", "")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_errors_sentence_and_its_json_are_of_the_same_facts(error: type[RegistryError]):
    made = _made(error, _facts(error))
    assert made.to_dict() == {
        "outcome": error.__name__,
        "expected": made.expected,
        "actual": made.actual,
        "next": made.next,
    }
    assert str(made) == f"expected {made.expected}; found {made.actual}. {made.next}"


def test_errors_carry_for_programs_what_they_decide_by():
    assert errors.NotCertified("version 3", reason="expired", actual="a note", public="expired").public == "expired"
    assert errors.NotCertified("version 3", reason="expired", actual="a note").public == "a note"
    assert errors.ChannelMoved("test", expected=3, entry=4, actual="entry 4").entry == 4
    assert errors.ObjectMissing("a/key").key == errors.ObjectExists("a/key").key == "a/key"
    assert errors.GatesFailed("test", "version 3", number=3, failed=("accuracy",)).failed == ("accuracy",)


def test_a_void_experiment_says_which_command_stops_it():
    void = experiments.ExperimentVoid("prod", 3, expected="version 1", actual="version 2")
    assert "petpark experiment stop --channel prod --why" in void.next
