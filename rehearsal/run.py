"""One rehearsal from start to end: the folder, the environment, the steps, the summary and the clean-up."""

import contextlib
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from registry.strict_yaml import read_yaml
from rehearsal.credentials import PERSON_VARIABLE
from rehearsal.emulator import REPOSITORY
from rehearsal.emulators import DEFAULT, Product
from rehearsal.engine import find_provider
from rehearsal.environment import STACKS, EngineKind, Environment
from rehearsal.pulumi_cli import find_cli
from rehearsal.report.steps import Steps
from rehearsal.report.summary import HTML_NAME, JSON_NAME, RehearsalFacts, write_summary
from rehearsal.scenario import forecast
from rehearsal.scenario.lifecycle import Lifecycle
from rehearsal.scenario.photos_to_prod import QUALITY
from rehearsal.scenario.scenario_options import ScenarioOptions
from rehearsal.working_directory import WorkingDirectory

LEFT_BEHIND = (JSON_NAME, HTML_NAME, QUALITY, "instances", "rehearsal.log")
"""What a finished rehearsal leaves: the summary, the quality report that it links to, and the logs of its instances."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to rehearse: folder, engine, emulator, the emulator's port (0: a free one), and the scenario's options.

    `settings` override each stack's YAML.
    """

    directory: Path
    engine: EngineKind
    product: Product = DEFAULT
    port: int = 0
    keep: bool = False
    script: ScenarioOptions = field(default_factory=ScenarioOptions)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


class Terminated(BaseException):
    """SIGTERM: the rehearsal must end. Like KeyboardInterrupt, it is not caught by `except Exception`."""


class EmulatorLacks(Exception):
    """A step failed in an emulator other than the default; the message names the step and what the emulator lacks."""


def run(options: RunOptions, console: Console, *, kept: Callable[[RehearsalFacts], None]) -> RehearsalFacts:
    """Rehearse. With `keep`, call `kept` when all steps are done, and keep everything running until SIGTERM or Ctrl-C.

    When this returns or raises, every process has ended and only the summary and logs are left. Raises
    `RehearsalRunning`, `DiskFull`, errors of emulator and engine, or the failing step's error; in an emulator other
    than the default, `EmulatorLacks` instead of the latter.
    """
    find_deployer = find_provider if options.engine == "embedded" else find_cli
    find_deployer()  # before anything starts: without it nothing can be deployed
    console.print(forecast.sentence(options.script), soft_wrap=True, highlight=False)
    steps = Steps(console, expected=forecast.seconds(options.script))
    with _termination_raises(), WorkingDirectory(options.directory) as place:
        try:
            with contextlib.ExitStack() as running:
                with steps:
                    facts = _play(options, place.directory, running, steps)
                if options.keep:
                    kept(facts)
                    threading.Event().wait()
        finally:
            place.tidy(*LEFT_BEHIND)
    return facts


def _play(options: RunOptions, directory: Path, running: contextlib.ExitStack, steps: Steps) -> RehearsalFacts:
    """Run all steps in an environment that ends with `running`. The summary is always written."""
    with steps.step("start the emulated cloud") as step:
        environment = Environment(
            directory,
            engine=options.engine,
            product=options.product,
            port=options.port,
            settings=_settings(options),
        )
        running.enter_context(environment)
        step.done(f"{options.product.name} at {environment.emulator.url}")
    lifecycle = Lifecycle(environment, steps, options.script)
    try:
        with naming_what_lacks(options.product, steps):
            lifecycle.play()
    finally:
        with steps.step("write the summary") if not steps.failed else contextlib.nullcontext():
            stays = options.keep and not steps.failed
            facts = replace(lifecycle.facts, usage=usage(lifecycle.facts) if stays else ())
            write_summary(directory, facts)
    return facts


def _settings(options: RunOptions) -> dict[str, Mapping[str, Any]]:
    """What the scenario needs, then the caller's own settings, on top of each stack's YAML."""
    platform = STACKS[0]
    own = read_yaml((REPOSITORY / f"Pulumi.{platform}.yaml").read_text())["config"]
    scenario = {platform: options.script.settings(own)}
    return {stack: {**scenario.get(stack, {}), **options.settings.get(stack, {})} for stack in STACKS}


@contextlib.contextmanager
def naming_what_lacks(product: Product, steps: Steps) -> Generator[None]:
    """Raise `EmulatorLacks` for a step that failed in another emulator than the default."""
    try:
        yield
    except Exception as error:
        failed = next((record.name for record in steps.records if not record.ok), None)
        if product is DEFAULT or failed is None:
            raise
        sentence = " ".join(str(error).split()).rstrip(".")
        known = product.explain(sentence)
        what = f"it lacks {known.behaviour} ({sentence})" if known else f"{type(error).__name__}: {sentence}"
        raise EmulatorLacks(
            f"The rehearsal with {product.name} ended at the step “{failed}”: {what}. {DEFAULT.name}, the default, "
            "supports every step; docs/design/emulators.md lists what each emulator lacks."
        ) from error


def usage(facts: RehearsalFacts) -> list[tuple[str, str]]:
    """Commands for a rehearsal that was kept running: (what it does, command)."""
    prod, petpark = facts.endpoints["prod"], _program()
    return [
        ("create an API key for prod", f"{petpark} --target rehearsal --stack prod keys create me"),
        (
            "classify a photo in prod, 20 s later",
            "curl --noproxy '*' --data-binary @PHOTO.jpg -H 'content-type: image/jpeg' "
            f"-H 'authorization: Bearer pp_…' {prod}/v1/classify",
        ),
        ("try it in a browser", prod),
        ("which version each endpoint serves", f"{petpark} --target rehearsal --stack prod endpoints status"),
        ("versions and their certificates", f"{petpark} --target rehearsal models list"),
        ("promotions and rollbacks of prod", f"{petpark} --target rehearsal models history --channel prod"),
        (
            "see that nobody can certify a version that they trained",
            f"{PERSON_VARIABLE}=ana {petpark} --target rehearsal certify 2 --decision certified --note mine",
        ),
        ("end it", f"{petpark} rehearse down"),
    ]


def _program() -> str:
    """How to call petpark from here: by its name where the shell finds it, else by its path in the environment."""
    if shutil.which("petpark"):
        return "petpark"
    path = Path(sys.prefix) / "bin" / "petpark"
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


@contextlib.contextmanager
def _termination_raises() -> Generator[None]:
    """SIGTERM unwinds the stack like Ctrl-C does; both are ignored while it unwinds, so that all of it does."""

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end), signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
