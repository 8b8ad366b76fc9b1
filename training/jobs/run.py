"""Run a job: load photos, train, export to ONNX, evaluate, report, publish. `_build` calls the stages."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from imaging import decode
from registry.channels.channel import Channel
from registry.encoding import canonical
from registry.errors import ObjectExists
from registry.gates import failed
from registry.layout.jobs import machine_key, machines_prefix, validation_key
from registry.store.object_store import ObjectStore
from registry.version import Version
from registry.versions.catalog import Catalog
from training.dataset.manifest import Manifest, Photo, Split
from training.distributed.group import Group
from training.errors import Interrupted, TrainingError
from training.evaluation.assess import assess
from training.evaluation.baseline.comparison import Incumbent, NotCompared, find_incumbent
from training.evaluation.baseline.copies import Grid, grid
from training.evaluation.baseline.seen_photos import SeenPhotos, fair_test
from training.evaluation.figures.robustness import stratified
from training.evaluation.figures.temperature import choose_temperature
from training.evaluation.gates import judge
from training.evaluation.reporting.error_gallery import SIDE
from training.evaluation.selective.abstaining import calibrate_model, measure_model
from training.fitting.checkpoint import Checkpoints, CheckpointStore
from training.fitting.frozen import Learned, train_head
from training.fitting.pixels import LabelledPixels, fetch, load_pixels, stream_pixels, targets_of
from training.fitting.progress import Progress
from training.fitting.train import train
from training.instance.machine import describe
from training.job import JobResult, JobSpec, find_result, store_result
from training.jobs.admission import admit
from training.jobs.context import JobContext
from training.jobs.epochs import Epochs
from training.jobs.fallback import apply_fallback
from training.jobs.initial_weights import load_initial_weights
from training.jobs.logs import ReportEvent
from training.jobs.trial import answer
from training.jobs.version.files import export, write_abstention, write_decision, write_reference
from training.jobs.version.publishing import find_version, gates_message, publish, report_address
from training.networks.embedding import BATCH
from training.networks.export import ExportedModel, Numbers, Pixels, answer_logits
from training.networks.model import build_model

_TESTS: Final = 4  # parts of the evaluation: export, assessment, calibration, abstention
_KEPT: Final = 256  # training photos kept in memory to check and quantise the export of a frozen network


def run_job(
    job: str,
    spec: JobSpec,
    *,
    workspace: CheckpointStore,
    lake: ObjectStore,
    catalog: Catalog,
    directory: Path,
    model_store: str | None = None,
    prod: Channel | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    trained_by: str = "unknown",
    report: ReportEvent = lambda _event, _facts: None,
    clock: Callable[[], float] = time.monotonic,
    group: Group | None = None,
) -> JobResult:
    """Run the job of `spec`, from its last checkpoint if there is one. Stores the result and returns it.

    A job that has ended is not run again. `directory` is for temporary files. For a training that cannot succeed,
    `status` of the result is failed, and `error` names the cause. A model that fails a gate is published anyway, so
    that people can examine it and trainings can start from it; its metrics and the result's message name the gate, and
    the channel's rule decides whether it may serve. The model is compared with the active version on `prod`, if there
    is one. With `model_store`, the bucket's name, the result has the URI of the report. A trial of a study publishes
    nothing: its result has the metrics of the validation photos, and no test photo is used.

    Raises `Interrupted` soon after `should_stop` returns True, with a checkpoint stored, and registry errors if a store
    is unavailable: then run the job again.
    """
    if ended := find_result(workspace, job):
        return ended
    started = clock()
    context = JobContext(
        job=job,
        records=Epochs(workspace, job, report=report),
        spec=spec,
        workspace=workspace,
        lake=lake,
        catalog=catalog,
        directory=directory,
        prod=prod,
        interrupted=should_stop,
        deadline=started + spec.max_seconds,
        trained_by=trained_by,
        report=report,
        clock=clock,
        group=group,
    )
    try:
        spec, instead = apply_fallback(job, spec, workspace=workspace, catalog=catalog)
        if instead:
            report("falls back", {"message": instead})
            context = replace(context, spec=spec, instead=instead, group=None)
        result = _measured(context) if spec.study is not None else _published(context, model_store)
        result = replace(result, seconds=round(clock() - started, 2))
    except Interrupted:
        raise
    except TrainingError as error:
        result = JobResult(job=job, status="failed", error=type(error).__name__, message=str(error))
    return store_result(workspace, result)


def _measured(context: JobContext) -> JobResult:
    """The result of a trial."""
    return JobResult(job=context.job, status="succeeded", outcome="measured", metrics=_try_out(context))


def _published(context: JobContext, model_store: str | None) -> JobResult:
    """The result of a job that publishes a version: the one that it published before, or a new one."""
    version = find_version(context.catalog, context.job) or _build(context)
    return JobResult(
        job=context.job,
        status="succeeded",
        version=version.number,
        digest=version.digest,
        metrics=dict(version.metrics),
        outcome="refused" if failed(version.metrics) else "published",
        report=report_address(version, model_store),
        message="; ".join(filter(None, (version.lineage.get("instead"), gates_message(version)))) or None,
    )


def _build(context: JobContext) -> Version:
    manifest = admit(context.spec, context.lake)
    tested = fair_test(
        manifest, SeenPhotos(context.catalog, context.lake).of_weights(context.spec.initial_weights), _picture(context)
    )
    learn, validate, test = _load(context, manifest, _kept(context, manifest), manifest.part(Split.VALIDATION), tested)
    learned = _train(context, manifest, learn, validate)
    model = learned.model
    tests = Progress("tests done", _TESTS, context.records.add_progress)
    temperature = choose_temperature(_logits(learned, validate), validate.targets.numpy())
    files, exported = export(context, manifest, model, temperature.value, learn, validate)
    tests.add()
    assessment = assess(
        exported,
        test,
        validate=validate,
        temperature=temperature,
        checks=context.spec.evaluation.checks,
        seed=context.spec.seed,
        picture=lambda photo: decode(fetch(context.lake, photo), SIDE),
        incumbent=_incumbent(context, manifest, test),
        learned=learned,
    )
    tests.add()
    decision = assessment.decision
    calibrated = calibrate_model(files["model.onnx"], exported, learn, validate, learned=learned, decision=decision)
    exported = ExportedModel(files["model.onnx"])  # with the output `strangeness`
    files |= write_decision(context, exported, test, decision)
    files |= write_abstention(context, calibrated)
    files |= write_reference(context, exported, validate, calibrated)
    tests.add()
    abstained = measure_model(calibrated, exported, test, decision, seed=context.spec.seed)
    tests.add()
    context.records.settle()
    gates = judge(context.spec.evaluation.gates, assessment, abstained.metrics() if abstained else {})
    return publish(context, manifest, files, assessment, gates, abstained)


def _try_out(context: JobContext) -> dict[str, float]:
    """Train a trial. Returns the metrics of the validation photos. Stores the predictions, to compare trials."""
    manifest = admit(context.spec, context.lake)
    learn, validate = _load(context, manifest, _kept(context, manifest), manifest.part(Split.VALIDATION))
    answers = answer(_train(context, manifest, learn, validate).model, manifest.labels, validate)
    with suppress(ObjectExists):  # stored by an earlier attempt; its predictions are the same
        context.workspace.create(validation_key(context.job), answers.to_json())
    metrics = answers.metrics()
    context.report("tried", metrics)
    return metrics


def _kept(context: JobContext, manifest: Manifest) -> tuple[Photo, ...]:
    """Returns the training photos to keep in memory: all, or an even sample if the network is frozen."""
    photos = manifest.part(Split.TRAIN)
    return photos[:: max(1, len(photos) // _KEPT)][:_KEPT] if context.spec.hyper_parameters.frozen else photos


def _load(context: JobContext, manifest: Manifest, *splits: tuple[Photo, ...]) -> list[LabelledPixels]:
    parameters = context.spec.hyper_parameters
    progress = Progress("photos decoded", max(1, sum(map(len, splits))), context.records.add_progress)

    def check() -> None:
        context.check()
        progress.add()

    with ThreadPoolExecutor(1) as executor:
        # Building a network first imports much of torch, which takes seconds: do it while photos are downloaded.
        network = executor.submit(build_model, parameters.architecture, len(manifest.labels))
        parts = [
            load_pixels(
                context.lake,
                photos,
                manifest.labels,
                parameters.image_size,
                check=check,
                directory=context.directory,
            )
            for photos in splits
        ]
    network.result()  # raises SpecMalformed
    context.report("photos decoded", {"classes": len(manifest.labels), "photos": len(manifest.photos)})
    return parts


def _train(context: JobContext, manifest: Manifest, learn: LabelledPixels, validate: LabelledPixels) -> Learned:
    _record_machine(context)
    checkpoints = Checkpoints(
        context.workspace, context.job, before_each=context.records.wait_until_stored, report=context.report
    )
    try:
        if context.spec.hyper_parameters.frozen:
            return _train_head(context, manifest, validate, checkpoints)
        model = train(
            learn,
            validate,
            classes=len(manifest.labels),
            parameters=context.spec.hyper_parameters,
            seed=context.spec.seed,
            initial_weights=load_initial_weights(context),
            checkpoints=checkpoints,
            on_epoch=context.records.add,
            should_stop=context.should_stop,
            group=context.group,
        )
        return Learned(model=model)
    finally:
        context.records.settle()


def _train_head(context: JobContext, manifest: Manifest, validate: LabelledPixels, checkpoints: Checkpoints) -> Learned:
    photos, parameters = manifest.part(Split.TRAIN), context.spec.hyper_parameters

    def chunks(first: int) -> Iterator[Tensor]:
        size = parameters.image_size
        return stream_pixels(context.lake, photos[first:], size, batch=BATCH, check=context.check)

    return train_head(
        photos,
        targets_of(photos, manifest.labels),
        chunks,
        validate=validate,
        classes=len(manifest.labels),
        parameters=parameters.for_photos(len(photos)),
        seed=context.spec.seed,
        initial_weights=load_initial_weights(context) or {},
        checkpoints=checkpoints,
        on_progress=context.records.add_progress,
        on_epoch=context.records.add,
        should_stop=context.should_stop,
        device=(context.group or Group.alone()).device,
    )


def _record_machine(context: JobContext) -> None:
    facts = {
        **describe(),
        "processes": 1 if context.group is None else context.group.size,  # of all instances
        "trained_by": context.trained_by,
        "lock": context.lineage().get("lock", "unknown"),
    }
    number = len(list(context.workspace.keys(machines_prefix(context.job)))) + 1
    with suppress(ObjectExists):  # two instances started at the same time; either record suffices
        context.workspace.create(machine_key(context.job, number), canonical(facts))


def _incumbent(context: JobContext, manifest: Manifest, test: LabelledPixels) -> Incumbent | NotCompared | None:
    def pixels(size: int) -> Pixels:
        return load_pixels(context.lake, test.photos, manifest.labels, size, check=context.check).pixels.numpy()

    if context.prod is None:
        return None
    return find_incumbent(
        context.catalog,
        context.prod,
        context.directory / "incumbent",
        labels=manifest.labels,
        photos=test.photos,
        pixels=pixels,
        lessons=SeenPhotos(context.catalog, context.lake),
        picture=_picture(context),
        tried=stratified(test.targets.numpy(), context.spec.evaluation.checks.photos),
        initial_weights=context.spec.initial_weights,
    )


def _picture(context: JobContext) -> Callable[[Photo], Grid]:
    """Returns a function that reads a photo's thumbnail, for finding copies."""
    return lambda photo: grid(fetch(context.lake, photo))


def _logits(learned: Learned, photos: LabelledPixels) -> Numbers:
    """Returns the logits of the validation photos, from their embeddings if the network is frozen."""
    if learned.embeddings is None:
        return answer_logits(learned.model, photos.pixels.numpy())
    with torch.no_grad():
        return learned.model.head(learned.embeddings.embedding[-len(photos) :].float()).numpy()
