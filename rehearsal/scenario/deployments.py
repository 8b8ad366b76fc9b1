"""The two stacks of a rehearsal, and the photos that are generated while they are deployed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from rehearsal.background_task import BackgroundTask
from rehearsal.environment import Environment
from rehearsal.report.steps import Step, Steps
from rehearsal.scenario import pipeline_watch
from rehearsal.scenario.scenario_options import SEED
from training.dataset.generated import generate


class BackgroundTaskAbandoned(Exception):
    """The results of background work are no longer needed."""


class Deployments:
    """Deploys `test` and `prod` in parallel. `over` is set when nothing more is needed."""

    def __init__(self, environment: Environment, steps: Steps, *, over: threading.Event) -> None:
        self._environment = environment
        self._steps = steps
        self._over = over

    def draw_photos(self, directory: Path, count: int) -> None:
        """Generate a photo set. Raises `BackgroundTaskAbandoned`."""

        def still_needed(done: int, of: int) -> None:
            if self._over.is_set():
                raise BackgroundTaskAbandoned
            step.progress(f"{done} of {of}")

        with self._steps.step("generate photos") as step:
            generate(directory, count=count, seed=SEED, progress=still_needed)
            step.done(f"{count:,} photos of generated cats and dogs")

    def deploy_test(self) -> BackgroundTask[None]:
        """Deploy until the stack can be used. Returns the rest of its deployment, which takes another minute."""
        finished = 0
        usable = threading.Event()
        whole: Step | None = None

        def show(event: Any) -> None:
            nonlocal finished
            finished += event.kind == "finished"
            (step if whole is None else whole).progress(f"{finished} resources")

        def deploy() -> None:
            self._environment.deploy("test", show, usable.set)

        with self._steps.step("deploy stack test until it is usable") as step:
            deployment = BackgroundTask(deploy)
            deployment.wait(usable)
            pipeline_watch.wait_until_ready(self._environment, "test")
            step.done(f"{finished} resources")

        def finish() -> None:
            nonlocal whole
            with self._steps.step("deploy the rest of stack test") as whole:
                deployment.result()
                whole.done(f"{finished} resources")

        return BackgroundTask(finish)

    def deploy_prod(self) -> None:
        """Deploy in parallel with `test`: resources that need its outputs wait for them."""
        finished = 0

        def show(event: Any) -> None:
            nonlocal finished
            finished += event.kind == "finished"
            step.progress(f"{finished} resources")

        with self._steps.step("deploy stack prod") as step:
            # An engine finishes running steps before it handles an interruption: a minute that is not needed here.
            deployment = BackgroundTask(lambda: self._environment.deploy("prod", show, refers_to="test"))
            step.done(f"{deployment.result()} resources")
