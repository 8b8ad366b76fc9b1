"""Create a study: its design, budget check, and first records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import BudgetTooSmall, NothingLearned
from petpark.jobs import submission
from petpark.jobs.executions import machines
from petpark.search.records import budget as budget_of
from petpark.search.records import workspace
from petpark.search.table import Row, Table
from registry.clock import utc_now
from registry.encoding import format_time
from registry.halving import MOST_TRIALS, rung_epochs
from registry.layout.workspace import study_key, study_weights_key, trial_key

if TYPE_CHECKING:
    from petpark.targets.stacks import PipelineLimits
    from petpark.targets.target import Target
    from training.job import JobSpec
    from training.search.budget import Budget
    from training.search.study import Study

_ROUNDING = 2e-6
"""USD: the state machine counts in millionths of a USD, rounded up."""


def design(
    spec: JobSpec,
    *,
    grid: Sequence[str],
    random: Sequence[str],
    trials: int | None,
    metric: str,
    labels: Sequence[str],
    halving: bool,
    parallel: int,
    budget: Budget,
) -> Study:
    """Returns a study that varies `spec`. Raises training's `SpecMalformed` for anything that would fail later.

    `trials` may be None for a grid without random settings: then all combinations. `labels` are the dataset's classes,
    whose recall may be the metric.
    """
    from training.errors import SpecMalformed
    from training.search.choice import check_metric
    from training.search.space import Space
    from training.search.study import Study, check_halving

    space, recipe = Space(grid=tuple(grid), random=tuple(random)), spec.hyper_parameters
    space.check(recipe)
    if spec.initial_weights is not None and any(each.startswith("architecture=") for each in (*grid, *random)):
        raise SpecMalformed("weights fit one network: omit --weights, or do not search architecture")
    check_metric(metric, labels)
    if trials is None and space.combinations is None:
        raise SpecMalformed("random draws need a number of trials: add --trials")
    count = len(space.trials(trials or space.combinations or 1, seed=spec.seed, recipe=recipe))
    if count > MOST_TRIALS:
        raise SpecMalformed(f"a study has at most {MOST_TRIALS} trials, not {count}: add --trials {MOST_TRIALS}")
    study = Study(
        spec=spec,
        space=space,
        trials=count,
        metric=metric,
        rungs=max(1, len(rung_epochs(count, recipe.epochs))) if halving else 1,
        parallel=parallel,
        budget=budget,
        created_at=format_time(utc_now()),
    )
    if halving:
        check_halving(study)
    return study


def create(target: Target, study: Study, *, weights: Path | None = None) -> str:
    """Store a study and its trials. Returns its id. Nothing is started. Raises `BudgetTooSmall`, `StackOutdated`.

    `weights` is the file of `study.spec.initial_weights`, if they are not those of a version.
    """
    from training.job import written
    from training.search.study import first_rung

    check_budget(study, machines(target).limits)
    store, body, name = workspace(target), written(study), submission.new_id()
    if weights is not None:
        store.create_from(study_weights_key(name), weights)
    store.create(study_key(name), body)
    for trial in first_rung(study):
        store.create(trial_key(name, trial.number), written(trial))
    return name


def check_budget(study: Study, limits: PipelineLimits) -> None:
    """Raise `BudgetTooSmall` if the budget does not cover a single trial."""
    seconds = study.spec.max_seconds
    price, hours = limits.attempt_usd(seconds) + _ROUNDING, (limits.around_seconds + seconds) / 3600
    for allowed, step in (
        (limits.job_usd, "Raise petpark:pipeline.job_usd, then pulumi up"),
        (limits.execution_usd, "Raise petpark:pipeline.execution_usd, then pulumi up"),
        (budget_of(study, limits), "Raise it with --max-hours or --max-usd"),
    ):
        if price > allowed:
            raise BudgetTooSmall(
                f"One trial may take {hours:.2f} hours and cost {price:.2f} USD, but the limit is {allowed:.2f} USD.",
                next_step=f"{step}, or shorten the trials with --max-minutes.",
            )


def best_row(table: Table) -> Row:
    """Returns the best trial. Raises `NothingLearned` if none succeeded, with the trials' errors."""
    if table.best is None:
        reasons = sorted({row.error for row in table.rows if row.error})
        raise NothingLearned(
            f"No trial of study {table.study} succeeded{': ' if reasons else ''}{', '.join(reasons)}.",
            next_step=f"petpark search show {table.study}",
        )
    return table.row(table.best)
