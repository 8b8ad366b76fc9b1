"""`petpark keys`."""

import re
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

import typer

from petpark.app import example, group, invocation
from petpark.endpoints import api_keys
from petpark.endpoints.api_keys import HEARD_WITHIN, Listed, MadeKey
from petpark.output.console import Output
from petpark.output.formats import bad, good, moment
from petpark.output.table import Cell
from registry.clock import utc_now
from serving.auth.key_record import ApiKey, KeyScope

app = group("API keys of endpoints.")

_NEVER = "never"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_TIME = re.compile(r"([0-9]{1,5})([mhd])")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Key name: lower-case letters, digits, hyphens.")]


def _time(text: str) -> timedelta:
    found = _TIME.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a duration; use for example 30m, 24h or 90d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@app.command(
    "create", epilog=example("petpark keys create gate-camera --stack prod", "petpark keys create ops --scope admin")
)
def create(
    ctx: typer.Context,
    name: _Name,
    rate: Annotated[float, typer.Option(help="Photos per second on average, per instance.")] = 20.0,
    burst: Annotated[int, typer.Option(help="Burst: photos at once.")] = 40,
    expires: Annotated[str, typer.Option(help="Lifetime of the key: 24h, 90d, or never.")] = "90d",
    scope: Annotated[
        list[KeyScope] | None, typer.Option(help="Scope of the key. Repeatable. [default: classify]")
    ] = None,
) -> None:
    """Create an API key for the stack's endpoint and print it once; only its hash is stored."""
    run = invocation(ctx)
    made = api_keys.create(
        run.target(),
        name,
        rate=rate,
        burst=burst,
        lifetime=None if expires == _NEVER else _time(expires),
        scopes=scope or [KeyScope.CLASSIFY],
    )
    _show(run.output, made)


@app.command("rotate", epilog=example("petpark keys rotate gate-camera --grace 2h --stack prod"))
def rotate(
    ctx: typer.Context,
    name: _Name,
    grace: Annotated[str, typer.Option(help="How long the old key stays valid: 0m, 2h, 7d.")] = "24h",
) -> None:
    """Replace a key: create a new one with the same name and print it once; the old one stays valid for --grace."""
    run = invocation(ctx)
    target = run.target()
    _show(run.output, api_keys.rotate(target, api_keys.resolve(target, name), grace=_time(grace)))


@app.command("revoke", epilog=example("petpark keys revoke gate-camera --stack prod"))
def revoke(ctx: typer.Context, name: _Name) -> None:
    """Revoke a key. Endpoints reject it within 20 seconds."""
    run = invocation(ctx)
    target = run.target()
    name = api_keys.resolve(target, name)
    api_keys.revoke(target, name)
    run.output.record(
        {"revoked": name, "in force": f"within {HEARD_WITHIN} s"},
        facts={"revoked": name, "in_force_within_seconds": HEARD_WITHIN},
    )


@app.command("list", epilog=example("petpark keys list --stack prod", "petpark keys list --json"))
def list_keys(ctx: typer.Context) -> None:
    """List the API keys of the stack's endpoint: names, rate limits, expiry. The keys themselves are not stored."""
    run = invocation(ctx)
    target = run.target()
    found = api_keys.listed(target)
    now = utc_now()
    run.output.table(
        ("name", "scopes", "photos/s", "burst", "created", "expires", "", "hash"),
        [_row(one, now) for one in found],
        facts={"stack": target.outputs.stack, "keys": [_facts(one) for one in found]},
        empty=f"Stack {target.outputs.stack} has no API keys. Create one: petpark keys create NAME",
    )


@app.command(
    "migrate", epilog=example("petpark keys migrate --stack prod", "petpark keys migrate --delete --stack prod")
)
def migrate(
    ctx: typer.Context,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the old parameters; only after the stack's endpoint was updated.")
    ] = False,
) -> None:
    """Copy API keys from SSM parameters, where earlier releases stored them; run it before updating the endpoint."""
    run = invocation(ctx)
    target = run.target()
    done = api_keys.migrate(target, delete=delete)
    fields: dict[str, Cell] = {
        "copied": ", ".join(done.copied) or "none",
        "deleted": ", ".join(done.deleted) or "none",
    }
    if done.malformed:
        fields["no records"] = bad(", ".join(done.malformed))
    run.output.record(fields, facts={"stack": target.outputs.stack, **asdict(done)})


def _show(output: Output, made: MadeKey) -> None:
    record = made.record
    fields: dict[str, Cell] = {
        "key": made.key,
        "": "Copy it now: it is not stored and will not be shown again.",
        "name": record.name,
        "scopes": ", ".join(sorted(record.scopes)),
        "rate limit": f"{record.rate:g} photos/s, bursts of {record.burst}",
        "expires": _end(record),
        "in force": f"within {HEARD_WITHIN} s",
    }
    if record.previous is not None:
        fields["old key"] = f"valid until {moment(record.previous.until.isoformat())}"
    output.record(fields, facts={"key": made.key, **_record(record), "in_force_within_seconds": HEARD_WITHIN})


def _row(one: Listed, now: datetime) -> tuple[Cell, ...]:
    record = one.record
    if record is None:
        return (one.name, "–", "–", "–", "–", "–", bad(f"not a key record: {one.problem}"), "–")
    state: Cell = bad("expired") if record.expired(now) else good("good")
    if record.previous is not None and now < record.previous.until:
        state = good(f"valid; the old one until {moment(record.previous.until.isoformat())}")
    scopes = ", ".join(sorted(record.scopes))
    made = moment(record.created.isoformat())
    return (one.name, scopes, f"{record.rate:g}", str(record.burst), made, _end(record), state, record.hash[:12])


def _end(record: ApiKey) -> str:
    return _NEVER if record.expires is None else moment(record.expires.isoformat())


def _facts(one: Listed) -> dict[str, object]:
    return {"name": one.name, "problem": one.problem} if one.record is None else _record(one.record)


def _record(record: ApiKey) -> dict[str, object]:
    return {
        "name": record.name,
        "hash": record.hash,
        "scopes": sorted(record.scopes),
        "rate": record.rate,
        "burst": record.burst,
        "created": record.created.isoformat(),
        "expires": record.expires and record.expires.isoformat(),
        "old_key_until": record.previous and record.previous.until.isoformat(),
    }
