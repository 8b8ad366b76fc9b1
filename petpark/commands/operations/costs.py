"""`petpark costs`."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark.app import Invocation, example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.errors import NOT_SO, SettingsWrong
from petpark.output.console import Columns

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable, RegionPrices
    from infra.configuration.settings import StackSettings
    from infra.instances.picking import Need


def costs(
    ctx: typer.Context,
    region: Annotated[
        str | None, typer.Option("--region", help="Use the prices of this region instead of the stack's.")
    ] = None,
    need: Annotated[
        str | None,
        typer.Option("--need", help="List the instance types that satisfy this instead, cheapest first."),
    ] = None,
) -> None:
    """Estimate the monthly cost of the stack with its current settings, at AWS list prices.

    The prices come from a dated table in the repository, which `petpark prices refresh` updates.
    --need takes parts separated by commas: "24 GB of GPU memory" (of each GPU), "2 GPUs", "8 vCPU", "32 GB of memory",
    "at most 1.5 USD/h", "x86_64" or "arm64". Exits with 1 if no type satisfies all of them.
    """
    from infra.configuration import prices
    from infra.instances import picking

    run = invocation(ctx)
    try:
        wanted = None if need is None else picking.parse_need(need)
        table = prices.load()
        settings = None if wanted and region else read_stack(checkout(), run.stack)
        name = region or (settings.region if settings else "")
        if wanted is not None:
            _rank(run, wanted, table, name)
        elif settings is not None:
            _show(run, dataclasses.replace(settings, region=name), table)
    except picking.NeedUnclear as error:
        raise typer.BadParameter(str(error), param_hint="--need") from None
    except prices.PriceUnknown as error:
        raise SettingsWrong(
            f"{error}.",
            next_step="Read AWS's prices with `petpark prices refresh --region REGION`, or edit "
            f"Pulumi.{run.stack}.yaml.",
        ) from None
    except prices.TableUnusable as error:
        raise SettingsWrong(f"{error}.", next_step="Restore it from version control.") from None
    except SettingsUnusable as error:
        raise SettingsWrong(str(error), next_step=f"Edit Pulumi.{run.stack}.yaml.") from None


def _show(run: Invocation, settings: StackSettings, table: PriceTable) -> None:
    from infra.configuration import costs as figures

    items = figures.monthly(settings, table)
    hour = figures.training_hour(settings, table) if settings.platform_stack is None else None
    total = sum(item.month for item in items)
    prices = table.region(settings.region)
    facts = {
        "stack": run.stack,
        "currency": "USD",
        **_dated(prices),
        "items": [{**dataclasses.asdict(item), "month": round(item.month, 2)} for item in items],
        "components": {name: round(usd, 2) for name, usd in figures.by_component(items).items()},
        "month": round(total, 2),
        "training_hour": None if hour is None else round(hour, 2),
    }
    parts = {
        f"{name}: {usd:.2f} USD a month": Columns(
            ("", "USD", "assumption"),
            [(item.name, f"{item.month:.2f}", item.assumption) for item in items if item.component == name],
        )
        for name, usd in figures.by_component(items).items()
    }
    run.output.sections(parts, facts=facts)
    run.output.message(f"\nStack {run.stack}: {total:.2f} USD a month")
    if hour is not None:
        training = settings.training
        what = f"{training.instances} x {training.instance_types[0].name}"
        run.output.message(f"Training: {hour:.2f} USD per hour of {what} on demand; spot usually costs less than half")
    run.output.message(
        f"List prices of {settings.region}, without tax, free tier and discounts. Others: https://calculator.aws"
    )
    _print_age(run, prices)


def _rank(run: Invocation, need: Need, table: PriceTable, region: str) -> None:
    from infra.instances.picking import pick

    found = pick(need, table, region=region)
    prices = table.region(region)
    facts = {
        **_dated(prices),
        "facts_date": table.facts_date.isoformat(),
        "choices": [
            {"name": each.name, "usd_hour": each.usd_hour, **dataclasses.asdict(each.facts)} for each in found.choices
        ],
        "misses": [dataclasses.asdict(miss) for miss in found.misses],
    }
    if found.choices:
        rows = [
            (
                each.name,
                f"{each.usd_hour:g}",
                f"{each.facts.gpus} x {each.facts.gpu}, {each.facts.gpu_memory_gb:g} GB" if each.facts.gpus else "–",
                str(each.facts.vcpus),
                f"{each.facts.memory_gb:g} GB",
                each.facts.architecture,
            )
            for each in found.choices
        ]
        columns = ("type", f"USD/h in {region}", "GPUs", "vCPU", "memory", "architecture")
    else:
        rows = [(miss.name, f"{miss.usd_hour:g}", "; ".join(miss.reasons)) for miss in found.misses]
        columns = ("nearest misses", f"USD/h in {region}", "why not")
    run.output.table(columns, rows, facts=facts, empty="")
    satisfied = f"{len(found.choices)} of" if found.choices else "None of"
    run.output.message(
        f"{satisfied} the {len(prices.instances.usd)} types with a price in {region} satisfy it. "
        f"Properties of instance types are as of {table.facts_date}."
    )
    _print_age(run, prices)
    if not found.choices:
        raise typer.Exit(NOT_SO)


def _dated(prices: RegionPrices) -> dict[str, object]:
    return {"region": prices.name, "prices_of": prices.oldest.isoformat(), "age_days": prices.age_days(_today())}


def _print_age(run: Invocation, prices: RegionPrices) -> None:
    from infra.configuration.prices import age_notes

    for sentence in age_notes(prices, _today()):
        run.output.message(sentence)


def _today() -> date:
    return datetime.now(UTC).date()


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "costs",
        epilog=example("petpark costs --stack prod", 'petpark costs --need "24 GB of GPU memory, at most 1.5 USD/h"'),
    )(costs)
