"""Two stacks that are deployed at the same time: the one that needs the other's outputs does not wait for ever."""

from collections.abc import Callable
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any, override

import pytest

from rehearsal.background_task import BackgroundTask
from rehearsal.engine.errors import Cancelled, EngineError
from rehearsal.environment import Environment


class Unstarted(Environment):
    """An environment without an emulator: the stack `test` fails before its outputs, on which `prod` waits."""

    @override
    def engine(
        self,
        stack: str,
        on_event: Callable[[Any], None] | None = None,
        before_reference: Callable[[str], None] = lambda _stack: None,
    ) -> Any:
        def up(name: str) -> None:
            if name == "prod":
                before_reference("test")
            raise EngineError("a bucket was refused")

        return SimpleNamespace(up=up, cancel=lambda: None)


def deploying_prod(environment: Environment) -> Queue[Exception]:
    """Deploy `prod` in the background; the queue gets what that raises."""
    errors = Queue[Exception]()

    def deploy() -> None:
        try:
            environment.deploy("prod", refers_to="test")
        except EngineError as error:
            errors.put(error)

    BackgroundTask(deploy)
    return errors


@pytest.mark.parametrize("kind", ["embedded", "pulumi"])
def test_a_stack_does_not_wait_for_the_outputs_of_one_that_failed(tmp_path: Path, kind: Any) -> None:
    environment = Unstarted(tmp_path, engine=kind)
    errors = deploying_prod(environment)
    with pytest.raises(EngineError, match="a bucket was refused"):
        environment.deploy("test")
    with pytest.raises(Cancelled, match="The deployment of stack test ended before the outputs"):
        raise errors.get(timeout=60)


def test_a_stack_does_not_wait_for_the_outputs_of_another_when_the_rehearsal_ends(tmp_path: Path) -> None:
    environment = Unstarted(tmp_path, engine="embedded")
    errors = deploying_prod(environment)
    environment.__exit__(None, None, None)
    with pytest.raises(Cancelled, match="The rehearsal ended before the outputs of stack test"):
        raise errors.get(timeout=60)
