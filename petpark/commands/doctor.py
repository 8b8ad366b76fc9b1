"""`petpark doctor`."""

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import petpark
from petpark import doctor, pulumi_cli
from petpark.app import TargetKind, example, invocation
from petpark.doctor import Check, Health
from petpark.errors import NOT_SO, PulumiFailed
from petpark.output import Cell, bad, good


def examine(
    ctx: typer.Context,
    install_pulumi: Annotated[
        bool, typer.Option("--install-pulumi", help="First fetch the Pulumi CLI that fits.")
    ] = False,
) -> None:
    """Say what is missing on this machine (or account), and the command that mends it.

    Looks at what --target needs: the rehearsal's parts, or Pulumi and the account.
    Ends with 1 when something needed is missing.
    """
    run = invocation(ctx)
    if install_pulumi:
        run.output.note("Fetching the Pulumi CLI from get.pulumi.com …")
        run.output.note(f"Installed {pulumi_cli.install()}")
    checks: list[Check] = []
    with run.output.progress("Looking around") as report:
        for check in doctor.examine(run.kind, _root()):
            checks.append(check)
            report(len(checks), 0)
    healthy = not doctor.ailing(checks)
    facts = {"target": run.kind, "healthy": healthy, "checks": [asdict(check) for check in checks]}
    columns = ("", "what", "found", "mend it with")
    run.output.table(columns, [_row(check) for check in checks], facts=facts, empty="")
    if not healthy:
        raise typer.Exit(NOT_SO)
    if run.kind is TargetKind.REHEARSAL:
        run.output.note("Ready: petpark rehearse")


def _row(check: Check) -> tuple[Cell, ...]:
    mark = {Health.FINE: good("✓"), Health.ABSENT: "–", Health.MISSING: bad("✗")}[check.health]
    return (mark, check.name, check.found, check.mend)


def _root() -> Path:
    """The checkout: the one around the working directory, else the one that this program comes from."""
    with contextlib.suppress(PulumiFailed):
        return pulumi_cli.project_root()
    return Path(petpark.__file__).resolve().parent.parent


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor", epilog=example("petpark --target rehearsal doctor", "petpark doctor --install-pulumi"))(
        examine
    )
