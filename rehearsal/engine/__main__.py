"""The engine as a command: `python -m rehearsal.engine preview|up|refresh|destroy|stack|forget --stack STACK`."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from petpark.loopback import direct
from rehearsal.engine.configuration import Secret, Setting, read_yaml
from rehearsal.engine.display import DeploymentFailed, Event, Update, lines, summary
from rehearsal.engine.embedded import EmbeddedEngine
from rehearsal.engine.errors import EngineError

_OPERATIONS = ("preview", "up", "refresh", "destroy")
_FAILED, _USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 (an operation failed) or 2 (it could not begin)."""
    given = _parser().parse_args(arguments)
    os.environ.update(direct(os.environ))
    try:
        engine = _engine(given)
        if given.command in _OPERATIONS:
            return _operate(engine, given)
        if given.command == "forget":
            engine.forget(given.stack, given.urn)
            return 0
        return _stack(engine, given)
    except DeploymentFailed as failure:
        print("\n".join(summary(failure.update)), flush=True)
        return _FAILED
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        return _USAGE


def _operate(engine: EmbeddedEngine, given: argparse.Namespace) -> int:
    def cancel(number: int, frame: object) -> None:  # noqa: ARG001 — a signal handler's form
        print("Stopping: what is in flight ends and is recorded first …", file=sys.stderr)
        engine.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, cancel)
    operation: Callable[[str], Update] = getattr(engine, given.command)
    print("\n".join(summary(operation(given.stack))), flush=True)
    return 0


def _stack(engine: EmbeddedEngine, given: argparse.Namespace) -> int:
    for resource in engine.resources(given.stack):
        print(f"{resource.urn}  {resource.id}".rstrip())
    for name, value in engine.outputs(given.stack, show_secrets=given.show_secrets).items():
        print(f"{name} = {json.dumps(value)}")
    return 0


def _engine(given: argparse.Namespace) -> EmbeddedEngine:
    def report(event: Event) -> None:
        for line in lines(event, given.command):
            print(line, flush=True)

    settings: dict[str, Setting] = dict(read_yaml(given.config_file)) if given.config_file else {}
    settings |= dict(_pair(text) for text in given.config)
    settings |= {key: Secret(value) for key, value in map(_pair, given.secret)}
    return EmbeddedEngine(
        given.project_dir,
        state_dir=given.state_dir,
        config={given.stack: settings},
        passphrase=_passphrase(),
        on_event=report,
        parallel=given.parallel,
    )


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise EngineError(f"{key!r} must be KEY=VALUE.")
    return key, value


def _passphrase() -> str:
    """The passphrase, given as to the Pulumi CLI."""
    if file := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return os.environ.get("PULUMI_CONFIG_PASSPHRASE", "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal.engine",
        description="Deploy the Pulumi program to an emulator on this machine. The passphrase for secrets in the "
        "state comes from PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE.",
        epilog="example: python -m rehearsal.engine up --stack test --config aws:endpoints=http://127.0.0.1:4566",
    )
    parser.add_argument("command", choices=(*_OPERATIONS, "stack", "forget"))
    parser.add_argument("--stack", required=True, help="the stack, as in Pulumi.STACK.yaml")
    parser.add_argument("--project-dir", type=Path, default=Path(), help="where Pulumi.yaml is (default: here)")
    parser.add_argument("--state-dir", type=Path, default=Path(".rehearsal/state"), help="default: .rehearsal/state")
    parser.add_argument("--config-file", type=Path, help="YAML with keys and values on top of Pulumi.STACK.yaml")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="one setting; repeatable")
    parser.add_argument("--secret", action="append", default=[], metavar="KEY=VALUE", help="one secret setting")
    parser.add_argument("--parallel", type=int, default=16, help="steps at once (default: 16)")
    parser.add_argument("--show-secrets", action="store_true", help="with `stack`: outputs in the clear")
    parser.add_argument("--urn", default="", help="with `forget`: the resource to drop from the state")
    return parser


if __name__ == "__main__":
    sys.exit(main())
