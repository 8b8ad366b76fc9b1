"""`petpark costs`."""

import typer

from petpark.account.stack import SettingsUnusable, read_stack
from petpark.app import example, invocation
from petpark.commands.operations.doctor import checkout
from petpark.errors import SettingsWrong


def costs(ctx: typer.Context) -> None:
    """Estimate the monthly cost of the stack with its current settings, at AWS list prices."""
    from infra.configuration import costs as prices

    run = invocation(ctx)
    try:
        settings = read_stack(checkout(), run.stack)
        items = prices.monthly(settings)
        hour = prices.training_hour(settings) if settings.platform_stack is None else None
    except (SettingsUnusable, prices.PriceUnknown) as error:
        raise SettingsWrong(
            str(error), next_step=f"Edit Pulumi.{run.stack}.yaml, or infra/configuration/costs.py."
        ) from None
    total = sum(item.month for item in items)
    rows = [(item.name, f"{item.month:.2f}") for item in items] + [("total", f"{total:.2f}")]
    facts = {
        "stack": run.stack,
        "currency": "USD",
        "region": prices.REGION,
        "read": prices.READ,
        "items": {item.name: round(item.month, 2) for item in items},
        "month": round(total, 2),
        "training_hour": None if hour is None else round(hour, 2),
    }
    if hour is not None:
        rows.append(("plus each hour of on-demand training", f"{hour:.2f}"))
    columns = (f"stack {run.stack}", f"USD per month, list prices for {prices.REGION} in {prices.READ}")
    run.output.table(columns, rows, facts=facts, empty="")
    run.output.note(
        "Without tax and data transfer; spot is usually less than half. Other regions: https://calculator.aws"
    )


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("costs", epilog=example("petpark costs --stack prod"))(costs)
