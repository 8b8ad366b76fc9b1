"""`petpark prices`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from petpark.app import example, group, invocation

app = group("The dated table of AWS's list prices, from which costs are computed.")


@app.command(
    epilog=example("petpark prices refresh", "petpark prices refresh --region eu-central-1 --region eu-west-1")
)
def refresh(
    ctx: typer.Context,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="A region to read; default: those in the table.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Write prices that are gone, or moved by more than a factor of 5.")
    ] = False,
) -> None:
    """Read AWS's public price lists, without credentials, and rewrite the table in the repository.

    A region's lists have some hundred megabytes, which are read from a temporary file and deleted.
    PETPARK_PRICE_LISTS names a server with AWS's paths to read instead.
    """
    from infra.configuration.prices import FILE, TableUnusable, load
    from petpark.downloads import progress
    from petpark.errors import SettingsWrong
    from petpark.prices import refresh as prices

    run = invocation(ctx)
    try:
        table = load()
    except TableUnusable as error:
        raise SettingsWrong(f"{error}.", next_step="Restore it from version control.") from None
    regions = list(dict.fromkeys(region or table.regions))
    fresh = prices.refresh(table, regions, lambda what: progress.shown(what, run.output.err))
    changes = prices.changes(table, fresh)
    if not yes:
        prices.refuse_implausible(changes)
    prices.write(fresh, FILE)
    rows = [(each.region, each.what, _usd(each.before), _usd(each.after)) for each in changes]
    facts = {
        "file": str(FILE),
        "regions": {name: fresh.regions[name].oldest.isoformat() for name in regions},
        "changes": [asdict(each) for each in changes],
    }
    run.output.table(("region", "what", "USD before", "USD now"), rows, facts=facts, empty="No price has changed.")
    run.output.say(
        f"Wrote {FILE.name}: "
        + "; ".join(f"{name}, lists of {fresh.regions[name].oldest} and later" for name in regions)
        + "."
    )


def _usd(price: float | None) -> str:
    return "–" if price is None else f"{price:g}"
