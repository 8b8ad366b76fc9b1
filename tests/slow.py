"""Which tests are slow: those that start a process, an emulator or a browser, deploy, train, or export a network.

The others are `make test-fast`. Found from the code, so that no list of tests has to be kept: what a test function and
the fixtures that it uses refer to, directly or through the helpers in `tests` and `benchmarks`. A test of product code
that does such a thing by itself carries the marker `slow`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final, cast

SLOW_MODULES: Final = frozenset({"subprocess", "multiprocessing", "playwright.sync_api"})
"""What starts processes and browsers."""

SLOW_CALLS: Final = frozenset(
    {
        "benchmarks.support.accuracy.reference_training.train_reference",
        "benchmarks.support.accuracy.student.teach",
        "imaging.measuring.Measurer",
        "rehearsal.emulator.Emulator",
        "rehearsal.engine.embedded.EmbeddedEngine",
        "rehearsal.engine.provider.client.Plugin",
        "rehearsal.environment.Environment",
        "rehearsal.instances.machine.Machine",
        "rehearsal.pulumi_cli.PulumiEngine",
        "training.dataset.generated.generate",
        "training.distributed.processes.launch",
        "training.fitting.frozen.train_head",
        "training.fitting.train.train",
        "training.jobs.run.run_job",
        "training.networks.export.export_onnx",
    }
)
"""What starts processes or an emulator, deploys, trains, or exports. Names: importing all of it takes seconds."""

_HELPERS: Final = ("tests", "benchmarks")


def slow(function: Callable[..., Any], fixtures: Iterable[Callable[..., Any]]) -> bool:
    """Return whether a test function, or one of the fixtures that it uses, refers to something slow."""
    return any(_is_slow(inspect.unwrap(one)) for one in (_inner(function), *fixtures))


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that Hypothesis calls for a test that it drives; any other as it is."""
    return getattr(getattr(function, "hypothesis", None), "inner_test", function)


@cache
def _is_slow(start: Callable[..., Any]) -> bool:
    seen: set[int] = set()
    left: list[Any] = [start]
    while left:
        thing = left.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if _names_slow(thing):
            return True
        left += _referred(thing)
    return False


def _names_slow(thing: Any) -> bool:
    if isinstance(thing, ModuleType):
        return thing.__name__.partition(".")[0] in SLOW_MODULES or thing.__name__ in SLOW_MODULES
    if type(thing).__module__.partition(".")[0] in SLOW_MODULES:
        return True  # such as a context of multiprocessing
    where = getattr(thing, "__module__", None) or ""
    package, name = where.partition(".")[0], getattr(thing, "__qualname__", "")
    return f"{where}.{name}" in SLOW_CALLS or (callable(thing) and (package in SLOW_MODULES or where in SLOW_MODULES))


def _referred(thing: Any) -> tuple[Any, ...]:
    """Return what a helper's code names in its module, and functions in its tables; nothing for what is no helper's."""
    if isinstance(thing, dict | list | tuple):
        held: Iterable[Any] = cast("dict[Any, Any]", thing).values() if isinstance(thing, dict) else thing
        return tuple(one for one in held if callable(one))
    if isinstance(thing, MethodType):
        thing = thing.__func__
    if not isinstance(thing, FunctionType | type):
        return ()
    thing = inspect.unwrap(thing)
    return _named_by(thing) if thing.__module__.startswith(_HELPERS) else ()


@cache
def _named_by(thing: FunctionType | type) -> tuple[Any, ...]:
    if isinstance(thing, type):
        members = [getattr(member, "fget", member) for member in vars(thing).values()]
        return (*(member for member in members if isinstance(member, FunctionType)), *thing.__bases__)
    names = set(_names(thing.__code__))
    found = [thing.__globals__[name] for name in names if name in thing.__globals__]
    helpers = [one for one in found if isinstance(one, ModuleType) and one.__name__.startswith(_HELPERS)]
    return (*found, *(vars(helper)[name] for helper in helpers for name in names if name in vars(helper)))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
