"""The search for hyperparameters within the pipeline: trials side by side, and rungs of halving. Pure."""

from typing import Final

from infra.pipeline.asl import States, assign, catch, choice, fail, jsonata, literal
from infra.pipeline.stages import LifecycleFacts, job_task

ETA: Final = 3
"""Halving keeps one trial in so many, and gives it so many times the epochs: `training.search.study.ETA`."""


def rung_epochs(trials: int, epochs: int) -> tuple[int, ...]:
    """Epochs of each rung, the last with all of them; () where all trials are trained once."""
    if not epochs:
        return ()
    rungs = 1
    while trials >= ETA**rungs and epochs >= ETA**rungs:
        rungs += 1
    return tuple(max(1, round(epochs / ETA ** (rungs - rung))) for rung in range(1, rungs + 1))


def search(facts: LifecycleFacts, *, then: str) -> States:
    """States from `Search` to `then`, with the best trial's settings in `$best`; none without trials.

    A trial is judged by the lower bound of the metric's interval on the validation photos, so a lucky few photos do
    not win. One that fails is out.
    """
    settings = facts.settings
    if not settings.search:
        return {}
    epochs = rung_epochs(len(settings.search), settings.search_epochs)
    trials = [{"number": number, "settings": text.split()} for number, text in enumerate(settings.search, 1)]
    by_rung = {str(number): [f"epochs={count}"] for number, count in enumerate(epochs)} or {"0": []}
    better = "function($a, $b) { $a.score < $b.score or ($a.score = $b.score and $a.number > $b.number) }"
    kept = f"$ceil($count($trials) / {ETA})"
    trial = job_task(
        facts,
        "Trial",
        "trial",
        {
            "dataset": "$dataset",
            "recipe": literal(settings.recipe),
            "settings": "[$append($states.input.settings, $lookup($epochs, $string($rung)))]",
            "seed": "0",
            "gates": "$gates",
            "study": '"pipeline-" & $substring($dataset, 0, 12)',
            "trial": "$states.input.number",
        },
        seconds=60 * settings.train_minutes,
        machine="training",
        share="$count($trials)",
        to="",
    )
    bound = f"$states.result.Output.metrics.{settings.search_metric}_low"
    trial = {name: value for name, value in trial.items() if name not in ("Assign", "Next")} | {
        "Output": jsonata(
            f'{{"number": $states.input.number, "settings": [$states.input.settings], '
            f'"score": $type({bound}) = "number" ? {bound} : -1, "usd": $states.result.Output.usd}}'
        ),
        "Catch": [catch(["States.ALL"], "TrialFailed") | {"Output": jsonata("$states.input")}],
        "End": True,
    }
    failed = {
        "Type": "Pass",
        "Comment": "A trial that fails is out; the search goes on.",
        "Output": jsonata(
            '{"number": $states.input.number, "settings": [$states.input.settings], "score": -1, "usd": 0}'
        ),
        "End": True,
    }
    return {
        "Search": assign({"trials": trials, "epochs": by_rung, "rung": 0}, "Trials"),
        "Trials": {
            "Type": "Map",
            "Comment": "petpark:pipeline.search",
            "Items": jsonata("$trials"),
            "MaxConcurrency": settings.search_parallel,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Trial",
                "States": {"Trial": trial, "TrialFailed": failed},
            },
            "Assign": {
                "ranked": jsonata(f"[$sort([$states.result[score >= 0]], {better})]"),
                "spent": jsonata("$spent + $sum([$states.result.usd])"),
            },
            "Next": "Rung",
        },
        "Rung": choice(
            ("$count($ranked) = 0", "SearchFailed"),
            (f"$rung + 1 < {max(1, len(epochs))}", "NextRung"),
            default="Best",
        ),
        "NextRung": assign(
            {
                "rung": jsonata("$rung + 1"),
                "trials": jsonata(f"[$filter($ranked, function($one, $place) {{ $place < {kept} }})]"),
            },
            "Trials",
            "The best third again, with three times the epochs",
        ),
        "Best": assign({"best": jsonata("[$ranked[0].settings]")}, then),
        "SearchFailed": fail(
            "SearchFailed", '"None of the trials of petpark:pipeline.search succeeded; petpark jobs list shows why."'
        ),
    }
