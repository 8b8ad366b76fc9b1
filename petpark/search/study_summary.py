"""A study's summary in sentences: best trial and its significance, cost, outcome, next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from petpark.search.table import Table

if TYPE_CHECKING:
    from training.search.study import Study

_SIGNIFICANCE_LEVEL = 0.05


def searched(study: Study) -> tuple[str, ...]:
    """Returns the names of the settings that the study varies."""
    return tuple(setting.partition("=")[0] for setting in (*study.space.grid, *study.space.random))


def sentences(table: Table) -> list[str]:
    """Returns the summary's sentences: best trial, significance, cost, outcome, next step."""
    sentences = [best(table), luck(table), cost(table), f"{_capital(table.outcome or 'the study is running')}."]
    step = command(table)
    return [sentence for sentence in (*sentences, f"Publish it: {step}" if step else "") if sentence]


def best(table: Table) -> str:
    """Returns which trial is best, with its metric."""
    if table.best is None:
        return "No trial has succeeded."
    row = table.row(table.best)
    settings = ", ".join(f"{name} {value}" for name, value in row.settings.items())
    return (
        f"Best by the lower bound of {table.metric}: trial {row.trial} ({settings}), "
        f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}] on the validation photos by which it was chosen."
    )


def luck(table: Table) -> str:
    """Returns whether the best trial is significantly better than the second; empty if there is no second."""
    if table.luck is None:
        return ""
    verdict = "significant" if table.luck < _SIGNIFICANCE_LEVEL else "not significant"
    return (
        f"Its lead over trial {table.second} is {verdict}: p = {table.luck:.2g} (randomisation test). "
        f"Other seeds were not tried."
    )


def cost(table: Table) -> str:
    """Returns the instance time and cost so far, and the study's limits."""
    limit, money = table.budget.get("max_hours"), table.budget.get("max_usd")
    of_hours = "" if limit is None else f" of {limit:g}"
    of_money = "" if money is None else f" of {money:g}"
    spent = "" if table.usd is None else f", {table.usd:.2f}{of_money} USD"
    return f"Instances took {table.seconds / 3600:.2f}{of_hours} hours{spent}."


def command(table: Table) -> str | None:
    """Returns the command that trains the best trial again and publishes it; None without one or if cancelled."""
    return (
        None
        if table.best is None or table.cancelled_by is not None
        else f"petpark search resume {table.study} --publish-best"
    )


def hours(seconds: float) -> str:
    """Returns seconds as hours with two decimals."""
    return f"{seconds / 3600:.2f}"


def usd(cost: float | None) -> str:
    """Returns an amount in USD with two decimals; a dash if unknown."""
    return "–" if cost is None else f"{cost:.2f}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
