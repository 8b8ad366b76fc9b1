"""The purposes `train` and `trial`: a spec from the order's inputs, and the training as a child process."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from petpark.worker.endings import Ending, of_training
from petpark.worker.order import Order, Purpose
from petpark.worker.purposes.dataset_checks import data_gates, read_gates
from petpark.worker.training_process import TrainingProcess
from registry.encoding import NAME, SHA256, Fields
from registry.errors import ObjectExists, ObjectMissing
from registry.gates import StackGates
from registry.layout.jobs import job_spec_key
from registry.layout.variables import Variable
from registry.layout.workspace import study_key, study_weights_key
from registry.store.object_store import ObjectStore
from training.distributed.rendezvous import Rendezvous
from training.errors import JobExists, SpecMalformed
from training.hyper_parameters import HyperParameters, find_recipe, refuse_idle
from training.job import JobSpec, find_result, initial_weights_key, load_spec, submit
from training.networks.pretrained import PACKAGED
from training.plan import Checks, EvaluationPlan, Gates
from training.search.study import Study

_DEFAULT_RECIPE: Final = "transfer"


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """Inputs of a training or trial without a submitted spec."""

    dataset: str
    recipe: str
    settings: tuple[str, ...]
    seed: int
    gates: StackGates
    study: str | None

    @classmethod
    def of(cls, order: Order) -> "TrainingInputs":
        """Returns an order's inputs. Raises OrderMalformed."""

        def read(fields: Fields) -> TrainingInputs:
            trial = order.purpose is Purpose.TRIAL
            inputs = TrainingInputs(
                dataset=fields.text("dataset", SHA256),
                recipe=fields.text("recipe") or _DEFAULT_RECIPE,
                settings=fields.texts("settings"),
                seed=fields.count("seed", least=0),
                gates=read_gates(fields),
                study=fields.text("study", NAME) if trial else None,
            )
            if trial:
                fields.count("trial")
            return inputs

        return order.read(read)


def spec_of(order: Order, *, code: str | None) -> JobSpec:
    """Returns the spec for an order's inputs. Raises OrderMalformed, or training's SpecMalformed naming the setting."""
    inputs = TrainingInputs.of(order)
    parameters = find_recipe(inputs.recipe).with_settings(inputs.settings)
    refuse_idle(parameters, inputs.settings)
    return JobSpec(
        dataset=inputs.dataset,
        seed=inputs.seed,
        requested_by=order.requested_by,
        hyper_parameters=parameters,
        code=code,
        initial_weights=_weights(parameters),
        max_seconds=order.max_seconds,
        evaluation=EvaluationPlan(gates=Gates(**inputs.gates.model), checks=Checks(**inputs.gates.checks)),  # pyright: ignore[reportArgumentType] - checked by StackGates
        data_gates=data_gates(inputs.gates),
        study=inputs.study,
    )


def _weights(parameters: HyperParameters) -> str | None:
    """Returns the hash of the weights of a frozen network; None for others.

    Only packaged weights, which instances have installed, can be used: nothing here can download others.
    """
    if not parameters.frozen:
        return None
    if (packaged := PACKAGED.get(parameters.architecture)) is None:
        raise SpecMalformed(
            f"frozen=1 needs weights of {parameters.architecture}, but training instances have only those of "
            f"{', '.join(PACKAGED)}; choose one of these, or submit the weights: petpark train --weights"
        )
    return packaged.sha256


@dataclass(frozen=True, kw_only=True)
class StudyInputs:
    """Inputs of a trial of a stored study, or of the training of its best trial."""

    study: str
    settings: tuple[str, ...]

    @classmethod
    def of(cls, order: Order) -> "StudyInputs":
        """Returns an order's inputs. Raises OrderMalformed."""

        def read(fields: Fields) -> StudyInputs:
            fields.count("trial")
            return StudyInputs(study=fields.text("study", NAME), settings=fields.texts("settings"))

        return order.read(read)


def spec_of_study(workspace: ObjectStore, order: Order) -> JobSpec:
    """Returns the spec of a trial of a stored study, or of the training of its best trial, which is published.

    The best trial starts from the study's initial weights, which are copied to its job.
    Raises OrderMalformed, SpecMalformed and registry errors.
    """
    inputs = StudyInputs.of(order)
    shared = Study.from_json(workspace.get(study_key(inputs.study))).spec
    spec = replace(shared, hyper_parameters=shared.hyper_parameters.with_settings(inputs.settings))
    if order.purpose is Purpose.TRIAL:
        return replace(spec, study=inputs.study)
    with suppress(ObjectMissing, ObjectExists):
        workspace.create(initial_weights_key(order.job), workspace.get(study_weights_key(inputs.study)))
    return spec


def ensure_spec(workspace: ObjectStore, order: Order, *, code: str | None) -> JobSpec:
    """Returns the job's spec: the submitted one, else the one for the order's inputs, which is then stored.

    Raises OrderMalformed, SpecMalformed and registry errors.
    """
    if workspace.stat(job_spec_key(order.job)) is None:
        stored = "study" in order.inputs and "dataset" not in order.inputs
        spec = spec_of_study(workspace, order) if stored else spec_of(order, code=code)
        with suppress(JobExists):  # stored by another attempt that was still running, from the same inputs
            submit(workspace, order.job, spec)
    return load_spec(workspace, order.job)


def train(
    order: Order,
    workspace: ObjectStore,
    *,
    stop: Callable[[], str | None],
    rendezvous: Rendezvous | None,
    process: TrainingProcess,
) -> Ending:
    """Train until the job has ended or `stop` returns a reason. Returns the outcome."""
    variables = {} if rendezvous is None else {Variable.RENDEZVOUS.value: rendezvous.to_json()}
    status = process.run(lambda: stop() is not None, variables)
    result = find_result(workspace, order.job)
    return of_training(order.job, status, result, why=stop(), last_lines=process.last_lines)
