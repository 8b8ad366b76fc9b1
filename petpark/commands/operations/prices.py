"""`petpark prices`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from petpark.app import example, group, invocation

app = group("The dated table of AWS list prices that `costs` uses.")


@app.command(
    epilog=example("petpark prices refresh", "petpark prices refresh --region eu-central-1 --region eu-west-1")
)
def refresh(
    ctx: typer.Context,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", help="Region to read. Repeatable. Default: all regions in the table."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Accept missing prices, and changes by more than a factor of 5.")
    ] = False,
) -> None:
    """Read AWS's public price lists, without credentials, and rewrite the table in the repository.

    Each region's lists are a few hundred MB; they are downloaded to a temporary folder and deleted afterwards.
    PETPARK_PRICE_LISTS names a mirror with the same paths as AWS.
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
    run.output.message(
        f"Wrote {FILE.name}: "
        + "; ".join(f"{name}, lists of {fresh.regions[name].oldest} and later" for name in regions)
        + "."
    )


def _usd(price: float | None) -> str:
    return "–" if price is None else f"{price:g}"
