"""`petpark doctor`."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import petpark
from petpark import account as account_checks
from petpark import doctor
from petpark.account import leftovers as account_leftovers
from petpark.app import Invocation, TargetKind, example, invocation
from petpark.doctor import Check, Health
from petpark.errors import NOT_SO, PulumiFailed
from petpark.output.console import Line, Output
from petpark.output.formats import bad, good
from petpark.targets import pulumi_cli


def examine(
    ctx: typer.Context,
    install_pulumi: Annotated[
        bool,
        typer.Option("--install-pulumi", help="First download the Pulumi CLI and the aws plugin that match the SDK."),
    ] = False,
    account: Annotated[
        bool, typer.Option("--account", help="Check whether the AWS account is ready for --stack instead.")
    ] = False,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="With --account: list resources left after `pulumi destroy`.")
    ] = False,
) -> None:
    """Report what is missing on this machine (or in this account), and how to fix it.

    Checks what --target needs: the parts of the rehearsal, or Pulumi and the account. If a stack is deployed, also what
    its registry depends on: clock, bucket (versioning, policy, encryption), key. --account checks, read-only, what AWS
    would refuse at the first `pulumi up` of --stack. Exits with 1 if something required is missing.
    """
    run = invocation(ctx)
    if install_pulumi:
        _install_pulumi(run.output)
    checks: list[Check] = []
    with run.output.progress("Looking around") as report:
        for check in _checks(run, account=account, leftovers=leftovers):
            checks.append(check)
            report(len(checks), 0)
    healthy = not doctor.ailing(checks)
    facts = {"target": run.kind, "healthy": healthy, "checks": [asdict(check) for check in checks]}
    run.output.lines([_line(check) for check in checks], facts=facts)
    if not healthy:
        raise typer.Exit(NOT_SO)
    if run.kind is TargetKind.REHEARSAL:
        run.output.note("Ready: petpark rehearse")


def _checks(run: Invocation, *, account: bool, leftovers: bool) -> Iterator[Check]:
    if not account:
        if leftovers:
            raise typer.BadParameter("needs --account: petpark doctor --account --leftovers")
        return doctor.examine(run.kind, checkout(), run.target)
    if run.kind is TargetKind.REHEARSAL:
        raise typer.BadParameter("--account checks an AWS account; a rehearsal has none. Omit --target")
    look = account_leftovers.examine if leftovers else account_checks.examine
    return look(checkout(), run.stack)


def _install_pulumi(output: Output) -> None:
    """Download the CLI and its aws plugin, and print their hashes, for the list of pins."""
    from petpark.downloads import TOOLS, progress, pulumi

    def waiting() -> None:
        output.err.print("Another petpark process is downloading it; waiting.")

    fetched = pulumi.install(lambda name: progress.shown(name, output.err), waiting=waiting, tools=TOOLS)
    for file in fetched:
        output.err.print(
            f"Downloaded {file.name}\n  SHA-256 {file.sha256}, checked against {file.trust}", soft_wrap=True
        )
    if not fetched:
        output.err.print(
            f"Nothing to download: the Pulumi CLI and its aws plugin are in {TOOLS / 'pulumi'}", soft_wrap=True
        )


def _line(check: Check) -> Line:
    mark = {
        Health.FINE: good("✓"),
        Health.ABSENT: Text("–"),
        Health.MISSING: bad("✗"),
        Health.UNCHECKED: Text("?"),
    }[check.health]
    return Line(mark=mark, what=check.name, found=check.found, details={"fix": check.fix} if check.fix else {})


def checkout() -> Path:
    """The checkout: the one around the working directory, else the one that this program comes from."""
    with contextlib.suppress(PulumiFailed):
        return pulumi_cli.project_root()
    return Path(petpark.__file__).resolve().parent.parent


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "doctor",
        epilog=example(
            "petpark --target rehearsal doctor",
            "petpark doctor --account --stack prod",
            "petpark doctor --install-pulumi",
        ),
    )(examine)
