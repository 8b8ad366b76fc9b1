"""`petpark endpoints`."""

from dataclasses import asdict

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.endpoints import endpoint_status
from petpark.endpoints.endpoint_status import Answer, Verdict
from petpark.errors import NOT_SO, StackNotDeployed
from petpark.output.formats import bad, good, short
from petpark.output.table import Cell

app = group("State of the running endpoints.")


@app.command("status", epilog=example("petpark endpoints status", "petpark --target rehearsal endpoints status --json"))
def status(ctx: typer.Context) -> None:
    """Show which version each endpoint serves, and compare with its channel.

    Exits with 1 if one differs or does not answer.
    """
    run = invocation(ctx)
    with run.output.progress("Asking"):
        answers, absent = _ask_all(run)
    facts = {
        "endpoints": [{**asdict(answer), "alarming": answer.verdict.alarming} for answer in answers],
        "not_deployed": absent,
    }
    columns = ("stack", "where", "serves", "channel says", "verdict", "url", "")
    rows = [_row(answer) for answer in answers]
    rows += [(stack, "not deployed", "–", "–", "–", "–", "") for stack in absent]
    run.output.table(columns, rows, facts=facts, empty="No endpoint is deployed.")
    if endpoint_status.alarming(answers):
        raise typer.Exit(NOT_SO)


def _ask_all(run: Invocation) -> tuple[list[Answer], list[str]]:
    first = run.target()
    answers = endpoint_status.status(first)
    absent: list[str] = []
    for stack in first.stacks:
        if stack == first.outputs.stack:
            continue
        try:
            answers += endpoint_status.status(run.target(stack))
        except StackNotDeployed:
            absent.append(stack)
    return answers, absent


def _row(answer: Answer) -> tuple[Cell, ...]:
    served = "nothing" if answer.version is None else f"{answer.version} ({short(answer.digest or '')})"
    wanted = "nothing" if answer.wanted is None else f"{answer.wanted} ({short(answer.wanted_digest or '')})"
    verdict: Cell = answer.verdict
    if answer.verdict.alarming:
        verdict = bad(answer.verdict)
    elif answer.verdict is Verdict.SERVES:
        verdict = good(answer.verdict)
    return (answer.stack, answer.where, served, f"{answer.channel}: {wanted}", verdict, answer.url, answer.reason)
