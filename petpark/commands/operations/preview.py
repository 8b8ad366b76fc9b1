"""`petpark preview`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from petpark.app import Invocation, example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.errors import RecordUnreadable, SettingsWrong

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable
    from petpark.preview.binding import Reviewed
    from petpark.preview.plan import Plan

_PulumiJson = Annotated[
    Path | None,
    typer.Option("--pulumi-json", metavar="FILE", help="Read the output of `pulumi preview --json` from a file."),
]
_Recorded = Annotated[
    Path | None,
    typer.Option(
        "--recorded",
        metavar="FILE",
        help="Compare the program with a record by `petpark state export`: needs no account and no Pulumi CLI.",
    ),
]
_PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="Read a plan that --save wrote instead of making one."),
]
_Others = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="FILE", help="Add another stack's saved plan to the page. Repeatable."),
]
_Base = Annotated[
    str | None,
    typer.Option(
        "--base", metavar="COMMIT", help="Compare costs with the settings of this commit, such as origin/main."
    ),
]
_Save = Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Save the plan as JSON.")]
_Expect = Annotated[
    str | None,
    typer.Option(
        "--expect",
        metavar="REVIEWED",
        help="Fail if plan, program or state has changed since the review: PLAN:PROGRAM:STATE of its page, or the file "
        "that --save wrote then.",
    ),
]
_Complete = Annotated[
    bool, typer.Option("--complete", help="Show the complete page; by default it is shortened to fit a GitHub comment.")
]
_PageFile = Annotated[
    Path | None, typer.Option("--page", metavar="FILE", help="Write the page to a file instead of printing it.")
]
_Post = Annotated[
    bool,
    typer.Option("--post", help="Also post the page as a comment on the pull request; only in a GitHub workflow."),
]
_Summary = Annotated[
    bool, typer.Option("--summary", help="Also show the page in the job's summary; only in a GitHub workflow.")
]
_Untrusted = Annotated[
    bool, typer.Option("--untrusted", help="State on the page that its plans are unchecked: for plans of a fork's run.")
]


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """Where the plan comes from: a file of one of three kinds, or, without any, the Pulumi CLI."""

    plan: Path | None
    pulumi_json: Path | None
    record: Path | None
    base: str | None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.plan, self.pulumi_json, self.record)) > 1:
            raise typer.BadParameter(
                "--plan, --pulumi-json and --recorded each name a plan; give one of them", param_hint="--plan"
            )
        if self.plan is not None and self.base is not None:
            raise typer.BadParameter("a saved plan already has its costs; omit --base", param_hint="--base")


def preview(
    ctx: typer.Context,
    pulumi_json: _PulumiJson = None,
    recorded: _Recorded = None,
    plan_file: _PlanFile = None,
    others: _Others = None,
    base: _Base = None,
    save: _Save = None,
    expect: _Expect = None,
    complete: _Complete = False,
    page_file: _PageFile = None,
    post: _Post = False,
    summary: _Summary = False,
    untrusted: _Untrusted = False,
) -> None:
    """Show what `pulumi up` would change in the stack, and its cost, as a Markdown page."""
    from petpark.preview import binding, saved
    from petpark.preview.render import pages

    run = invocation(ctx)
    origin = _Origin(plan=plan_file, pulumi_json=pulumi_json, record=recorded, base=base)
    reviewed = _checked(run.stack, expect, (save, page_file))
    plan = _plan(run, origin)
    if save is not None:
        saved.save(plan, save)
    plans = _each_once([plan, *(saved.load(path) for path in others or [])])
    fitting, whole = pages(plans, untrusted=untrusted)
    shown = whole if complete else fitting
    facts: dict[str, object] = {"page": shown, "bindings": {each.stack: each.binding for each in plans}}
    if page_file is not None:  # before the comment, which can fail
        saved.write(shown, page_file)
        run.output.note(f"Page written to {page_file}.")
    if summary:
        saved.append(f"{fitting}\n", saved.job_summary(os.environ))
    if post:
        facts["comment"] = _posted(fitting)
    if reviewed is not None and run.output.json:
        binding.require_same(plan, reviewed, **facts)  # --json prints one document
    if run.output.json or page_file is None:
        run.output.show(Text(shown.rstrip()), facts=facts, apart=False)
    if reviewed is not None:
        binding.require_same(plan, reviewed)


def require_stack(stack: str) -> None:
    """Raise `typer.BadParameter` for what no stack can be called: it becomes a part of file names and of commands."""
    from petpark.preview.plan import is_stack

    if not is_stack(stack):
        raise typer.BadParameter(f"{stack[:100]!r} is not a stack name", param_hint="--stack")


def _checked(stack: str, expect: str | None, written: Sequence[Path | None]) -> Reviewed | None:
    """What was reviewed. Refuses, before anything is made, what the other options say wrongly."""
    from petpark.preview.binding import Reviewed
    from petpark.preview.saved import require_writable

    require_stack(stack)
    for path in written:
        if path is not None:
            require_writable(path)
    try:
        return None if expect is None else Reviewed.read(expect)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expect") from None


def _plan(run: Invocation, origin: _Origin) -> Plan:
    """The stack's plan, with the costs and what it means for the models."""
    from petpark.preview import cost, make, saved
    from petpark.preview.models import part

    if origin.plan is not None:
        return saved.load(origin.plan)
    root, table, now = checkout(), _prices(), datetime.now(UTC)
    if origin.pulumi_json is not None:
        plan = make.plan_from_file(run.stack, origin.pulumi_json, root, table)
    elif origin.record is not None:
        plan = _from_record(run, origin.record, root, table)
    else:
        with run.output.progress(f"Previewing stack {run.stack}"):
            plan = make.plan_by_pulumi(run.stack, root, table)
            plan = replace(plan, models=part.from_registry(run.stack, root, run.target, at=now))
    commit, tree = make.checked_out(root)
    costs = cost.costs(root, run.stack, table, base=origin.base, today=now.date())
    return replace(plan, commit=commit, tree=tree, costs=costs)


def _from_record(run: Invocation, file: Path, root: Path, table: PriceTable) -> Plan:
    from petpark.preview import make
    from petpark.preview.models import part
    from petpark.preview.recorded import record

    recorded = record.load(file)
    if recorded.stack != run.stack:
        raise RecordUnreadable(
            f"{file} is the record of stack {recorded.stack}, not of {run.stack}.",
            next_step="Pass the record of that stack, or its name with --stack.",
        )
    with run.output.progress(f"Previewing stack {run.stack} from its record"):
        plan = make.plan_from_record(recorded, root, table)
    return replace(plan, models=part.from_record(recorded, root, at=datetime.now(UTC)))


def _prices() -> PriceTable:
    from infra.configuration import prices

    try:
        return prices.load()
    except prices.TableUnusable as error:
        raise SettingsWrong(f"{error}.", next_step="Restore it from version control.") from None


def _each_once(plans: list[Plan]) -> list[Plan]:
    if len({each.stack for each in plans}) < len(plans):
        named = ", ".join(each.stack for each in plans)
        raise typer.BadParameter(f"a page has one plan per stack, not {named}", param_hint="--with")
    return plans


def _posted(page: str) -> str:
    """The address of the comment."""
    from petpark.preview.github import GitHub

    with GitHub.from_environment(os.environ) as github:
        return github.comment(github.pull_request(Path(os.environ["GITHUB_EVENT_PATH"])), page)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "preview",
        epilog=example(
            "petpark preview --stack test",
            "petpark preview --stack prod --recorded record-prod.json --with test-plan.json",
            "petpark preview --stack test --expect reviewed/plan.json  # before pulumi up",
        ),
    )(preview)
