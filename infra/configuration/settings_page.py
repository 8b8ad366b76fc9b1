"""`docs/settings.md`: every setting, what it may be, its value in both stacks, and what it costs.

`python -m infra.configuration.settings_page > docs/settings.md` writes it (`make docs-settings`). What a value may be
comes from the check that it is read with, descriptions and types from `Pulumi.yaml`, costs from the cost module.
"""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.configuration import costs
from infra.configuration.pipeline_settings import EXPECTED
from infra.configuration.prices import PriceTable, PriceUnknown, RegionPrices, load
from infra.configuration.settings import StackSettings, read_from
from infra.configuration.settings_reader import Check, Reader
from infra.configuration.stack_file import as_text
from registry.gates import CHECKS, DATA_GATES, MODEL_GATES

STACKS = ("test", "prod")
PROJECT = "petpark"
_WIDTH, _SHOWN, _FEW = 118, 60, 4
_KINDS = {str: "text", int: "a whole number", float: "a number"}

_HEAD = """\
# Settings

Every difference between the stacks is a value in `Pulumi.test.yaml` or `Pulumi.prod.yaml`. This page lists all of them.
`make docs-settings` generates it from `Pulumi.yaml` and from the program's own checks; `pulumi preview` and `pulumi up`
reject other values and name every wrong key. To change one: `pulumi config set petpark:KEY VALUE --stack STACK`.

"default" is the value in the shipped file. "costs" is how the bill changes with the value, in USD a month or USD an
hour of training, at the list prices that `petpark costs --stack STACK` uses; that command prints their region and date.
– means no change to anything that it counts.
"""


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """A stack's values as texts, and what they were read with."""

    name: str
    values: Mapping[str, Any]
    texts: Mapping[str, str]

    def read(self, changes: Mapping[str, str] | None = None) -> tuple[StackSettings, Mapping[str, Check]]:
        """The settings, with changes, and the checks by key.

        Refusals are left out: the shipped prod stack has no host name, and a changed value may need another change.
        """
        texts = {**self.texts, **(changes or {})}
        reader = Reader(lambda key: texts.get(f"{PROJECT}:{key}"), PROJECT)
        settings = read_from(reader, texts.get("aws:region"))
        return settings, reader.checks


def page(root: Path, table: PriceTable) -> str:
    """The page, from the project's files below `root`, with costs by the table."""
    declared: Mapping[str, Any] = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    stacks = [_stack(root, name) for name in STACKS]
    checks = [stack.read()[1] for stack in stacks]
    region = {"type": "string", "description": "The AWS region of the stack, of the provider's own configuration"}
    tags = {"type": "object", "description": "Tags of everything that the provider makes, which budgets count by"}
    lines = [_HEAD]
    for key, about in {"aws:region": region, "aws:defaultTags": tags, **declared}.items():
        full = key if ":" in key else f"{PROJECT}:{key}"
        lines += [f"## `{full}`", *_wrapped(about["description"].rstrip(".") + "."), ""]
        accepted = list(dict.fromkeys(each[key].expected for each in checks))
        lines += _item(f"{about['type']}: {'; '.join(accepted)}")
        defaults = [f"{stack.name} {_shown(stack, full)}" for stack in stacks]
        lines += _item(f"default: {', '.join(defaults)}")
        lines += _item(f"costs: {_costs(full, [each[key] for each in checks], stacks, table)}")
        lines += [*_inside(key, stacks[0]), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _stack(root: Path, name: str) -> _Stack:
    values = yaml.safe_load((root / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))["config"]
    texts = {key: as_text(value) for key, value in values.items()}
    return _Stack(name=name, values=values, texts={key: text for key, text in texts.items() if text is not None})


def _shown(stack: _Stack, full: str) -> str:
    value = stack.values[full]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _SHOWN else f"as `Pulumi.{stack.name}.yaml` says"


def _inside(key: str, owner: _Stack) -> Iterator[str]:
    """What a structured setting consists of: its own checks say what a value may be."""
    if key == "pipeline":
        values = owner.values[f"{PROJECT}:pipeline"]
        for name, each in EXPECTED.items():
            yield from _item(
                f"`{name}`: {each.expected}; {owner.name} `{json.dumps(values[name], ensure_ascii=False)}`"
            )
    if key != "gates":
        return
    values = owner.values[f"{PROJECT}:gates"]
    parts = {
        "data": {name: gate.expected for name, gate in DATA_GATES.items()},
        "model": {name: gate.expected for name, gate in MODEL_GATES.items()},
        "checks": {name: _KINDS[kind] for name, kind in CHECKS.items()},
    }
    for part, names in parts.items():
        for name, expected in names.items():
            yield from _item(f"`{part}.{name}`: {expected}; {owner.name} `{json.dumps(values[part][name])}`")


# --- what a value costs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """USD."""

    month: float
    training_hour: float


def _cost(settings: StackSettings, table: PriceTable) -> _Cost:
    """A stack without the platform trains nothing."""
    hour = costs.training_hour(settings, table) if settings.platform_stack is None else 0.0
    return _Cost(month=sum(item.month for item in costs.monthly(settings, table)), training_hour=hour)


def _costs(full: str, checks: list[Check], stacks: list[_Stack], table: PriceTable) -> str:
    """What the key changes in each stack; once if it is the same in both."""
    found = [_changes(full, check, stack, table) or "–" for check, stack in zip(checks, stacks, strict=True)]
    if len(set(found)) == 1:
        return found[0]
    return "; ".join(f"{stack.name} {one}" for stack, one in zip(stacks, found, strict=True))


def _changes(full: str, check: Check, stack: _Stack, table: PriceTable) -> str:
    """How the stack's costs change with the key, by the cost module."""
    if check.instance_types:
        types = yaml.safe_load(stack.texts[full])
        prices = table.region(stack.texts["aws:region"])
        return ", ".join(_hour(name, prices) for name in ([types] if isinstance(types, str) else types))
    try:
        before = _cost(stack.read()[0], table)
        if check.bounds is not None:
            value, highest = int(stack.texts[full]), check.bounds[1]
            step = 1 if value < highest else -1
            after = _cost(stack.read({full: str(value + step)})[0], table)
            return _difference(before, after, "for 1 more", step)
        parts = [
            _difference(before, _cost(stack.read({full: choice})[0], table), f"with `{choice}`")
            for choice in _others(check.choices, stack.texts[full])
        ]
    except PriceUnknown:
        return "not known"
    return ", ".join(one for one in parts if one)


def _others(choices: tuple[str, ...], current: str) -> tuple[str, ...]:
    """The other choices; of many, which are numbers, only the next."""
    if len(choices) <= _FEW:
        return tuple(choice for choice in choices if choice != current)
    return choices[choices.index(current) + 1 :][:1]


def _hour(type_: str, prices: RegionPrices) -> str:
    try:
        return f"{type_} {prices.instance_hour(type_):g} USD an hour"
    except PriceUnknown:
        return f"{type_} not known"


def _difference(before: _Cost, after: _Cost, when: str, step: int = 1) -> str:
    month, hour = after.month - before.month, after.training_hour - before.training_hour
    parts = ((month, "a month"), (hour, "an hour of training"))
    return ", ".join(f"{_usd(step * amount)} USD {unit} {when}" for amount, unit in parts if abs(amount) > 1e-9)


def _usd(amount: float) -> str:
    return f"{amount:+.2f}" if abs(amount) >= 0.01 else f"{amount:+.2g}"


# --- lines ----------------------------------------------------------------------------------------------------------


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> list[str]:
    first, *more = textwrap.wrap(text, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [f"- {first}", *(f"  {line}" for line in more)]


if __name__ == "__main__":
    sys.stdout.write(page(Path(__file__).resolve().parents[2], load()))
