"""Start and end of a study: its design, and the final training of the best settings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import BudgetTooSmall, NothingLearned
from petpark.jobs import submission
from petpark.search.records import Records, reservation
from petpark.search.table import Row, Table
from petpark.targets.target import Target
from registry import layout
from registry.clock import utc_now
from registry.encoding import format_time
from registry.errors import ObjectExists

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from training.job import JobSpec
    from training.search.budget import Budget
    from training.search.study import Study


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
    """A study that departs from `spec`; raises training's `SpecMalformed` for whatever it could not do later.

    `trials` may be None for a grid alone: all of it. `labels` are the dataset's, by whose recall may be chosen.
    """
    from training.errors import SpecMalformed
    from training.search.choice import check_metric
    from training.search.space import Space
    from training.search.study import Study, check_halving, rungs

    space, recipe = Space(grid=tuple(grid), random=tuple(random)), spec.hyper_parameters
    space.check(recipe)
    if spec.initial_weights is not None and any(each.startswith("architecture=") for each in (*grid, *random)):
        raise SpecMalformed("weights fit one network: omit --weights, or do not search architecture")
    check_metric(metric, labels)
    if trials is None and space.combinations is None:
        raise SpecMalformed("random draws need a number of trials: add --trials")
    wanted = trials or space.combinations or 1
    study = Study(
        spec=spec,
        space=space,
        trials=wanted,
        metric=metric,
        rungs=rungs(wanted, recipe.epochs) if halving else 1,
        parallel=parallel,
        budget=budget,
        created_at=format_time(utc_now()),
    )
    if halving:
        check_halving(study)
    return study


def create(store: ObjectStore, study: Study, *, weights: Path | None = None) -> str:
    """Store a study and return its id; nothing is launched yet. Raises `BudgetTooSmall`.

    `weights` is the file of `study.spec.initial_weights`, where that is not a version's.
    """
    from training.job import written

    if not study.budget.allows(reservation(study)):
        raise BudgetTooSmall(
            f"One trial may take {reservation(study) / 3600:.2f} hours, and the budget allows no such instance.",
            next_step="Give more with --max-hours or --max-usd, or less time to each trial with --max-minutes.",
        )
    body, name = written(study), submission.new_id()
    if weights is not None:
        store.create_from(layout.study_weights_key(name), weights)
    store.create(layout.study_key(name), body)
    return name


def publish_best(target: Target, table: Table) -> tuple[str, str]:
    """Train the best trial's settings once more, to be published; the ids of its job and instance.

    The same again takes the same job up where it is. Raises `NothingLearned`, `JobFinished`, `NoCapacity`.
    """
    from training.job import JobExists, initial_weights_key, submit
    from training.search.study import Trial, spec_of

    row = best_row(table)
    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    study = Records(store, table.study).study()
    trial = Trial(number=row.trial, rung=row.rung, parent=row.parent, values=row.settings)
    job = f"{table.study}-best"
    if store.stat(layout.study_weights_key(table.study)) is not None:
        with suppress(ObjectExists):
            store.create(initial_weights_key(job), store.get(layout.study_weights_key(table.study)))
    try:
        submit(store, job, replace(spec_of(study, table.study, trial), study=None))
    except JobExists:
        return job, submission.resume(target, job)
    return job, submission.launch(target, job, token=job)


def best_row(table: Table) -> Row:
    """The best trial; raises `NothingLearned`, with the reasons."""
    if table.best is None:
        reasons = sorted({row.error for row in table.rows if row.error})
        raise NothingLearned(
            f"No trial of study {table.study} succeeded{': ' if reasons else ''}{', '.join(reasons)}.",
            next_step=f"petpark search show {table.study}",
        )
    return table.row(table.best)
