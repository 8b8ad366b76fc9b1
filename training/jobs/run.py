"""A job from beginning to end: photos, network, ONNX file, figures, report, version."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from imaging import decode
from registry.channels.channel import Channel
from registry.encoding import canonical
from registry.errors import NumberTaken, ObjectExists, ObjectMissing
from registry.gates import State, failed, states
from registry.layout import (
    blob_key,
    machine_key,
    machines_prefix,
    study_weights_key,
    validation_key,
)
from registry.store.object_store import ObjectStore
from registry.version import Version
from registry.versions.abstention import ABSTENTION_FILE
from registry.versions.catalog import LOOK_BACK, Catalog
from registry.versions.decision import DECISION_FILE, Decision
from registry.versions.reference import REFERENCE_FILE
from training.dataset.manifest import Manifest, Photo, Split
from training.distributed.group import Group
from training.errors import Interrupted, JobCancelled, TookTooLong, TrainingError, WeightsRefused
from training.evaluation.assess import Assessment, assess
from training.evaluation.baseline.comparison import Incumbent, NotCompared, find_incumbent
from training.evaluation.baseline.copies import Grid, grid
from training.evaluation.baseline.seen_photos import SeenPhotos, fair_test
from training.evaluation.drift_reference import describe_validation
from training.evaluation.figures.robustness import stratified
from training.evaluation.figures.temperature import choose_temperature
from training.evaluation.gates import GateResult, as_metrics, judge
from training.evaluation.reporting.error_gallery import SIDE
from training.evaluation.reporting.report import Report, write_model_card, write_report
from training.evaluation.selective.abstaining import AbstentionFigures, Calibrated, calibrate_model, measure_model
from training.fitting.checkpoint import Checkpoints, CheckpointStore
from training.fitting.frozen import Learned, train_head
from training.fitting.pixels import LabelledPixels, fetch, load_pixels, stream_pixels, targets_of
from training.fitting.progress import Progress
from training.fitting.train import train
from training.instance.machine import describe
from training.job import JobResult, JobSpec, epoch_records, find_result, initial_weights_key, store_result
from training.jobs.admission import admit
from training.jobs.epochs import Epochs
from training.jobs.fallback import stand_in
from training.jobs.quantise import compare_quantised, quantise
from training.jobs.sbom import write_sbom
from training.jobs.trial import answer
from training.networks.embedding import BATCH
from training.networks.export import (
    ExportedModel,
    Numbers,
    Pixels,
    answer_logits,
    check_parity,
    export_onnx,
    write_probes,
)
from training.networks.model import Classifier, build_model, read_weights
from training.networks.pretrained import PackagedWeights, find_packaged, read_packaged

PROBES: Final = 5
_PARITY_PHOTOS: Final = 1000
_PARITY_PHOTOS_FROZEN: Final = 100  # a network that is large for a CPU, and that is exported as it was embedded with
_REPORT: Final = "report.html"
_TESTS: Final = 4  # parts of evaluation: export, what the model is asked, calibration, abstention
_KEPT: Final = 256  # training photos whose pixels a frozen network's export is compared and quantised by
_LOCK: Final = Path(__file__).parents[2] / "requirements" / "training.txt"

type Say = Callable[[str, Mapping[str, object]], None]
"""Reports the progress of a job: an event, and facts about it."""


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
    say: Say = lambda _event, _facts: None,
    clock: Callable[[], float] = time.monotonic,
    group: Group | None = None,
) -> JobResult:
    """Do what `spec` asks, from the job's last checkpoint if it has one; gives the result, which is also stored.

    A job that ended is not run again. `directory` holds what is made on the way. A training that cannot succeed is
    a result too: `status` is failed and `error` names the outcome. A model that fails a gate is published all the
    same, for people and the next training to learn from; its metrics and the result's message say so, and whether
    it may serve is for a certificate to say. It is compared with the active version on `prod`, if there is one. The
    result names its report, where `model_store` says in which bucket that is. A trial of a study publishes nothing:
    its result has the figures of the validation photos, and no test photo is looked at. Raises Interrupted soon
    after `should_stop` said yes, with a checkpoint written, and registry errors when a store does not answer: then
    run the job again.
    """
    if ended := find_result(workspace, job):
        return ended
    started = clock()
    run = _Run(
        job=job,
        records=Epochs(workspace, job, say=say),
        spec=spec,
        workspace=workspace,
        lake=lake,
        catalog=catalog,
        directory=directory,
        prod=prod,
        should_stop=should_stop,
        deadline=started + spec.max_seconds,
        trained_by=trained_by,
        say=say,
        clock=clock,
        group=group,
    )
    try:
        spec, instead = stand_in(job, spec, workspace=workspace, catalog=catalog)
        if instead:
            say("falls back", {"message": instead})
            run = replace(run, spec=spec, instead=instead, group=None)
        if spec.study is not None:
            result = JobResult(job=job, status="succeeded", outcome="measured", metrics=run.try_out())
        else:
            version = find_version(catalog, job) or run.build()
            result = JobResult(
                job=job,
                status="succeeded",
                version=version.number,
                digest=version.digest,
                metrics=dict(version.metrics),
                outcome="refused" if failed(version.metrics) else "published",
                report=_report(version, model_store),
                message="; ".join(filter(None, (version.lineage.get("instead"), _gates_message(version)))) or None,
            )
        result = replace(result, seconds=round(clock() - started, 2))
    except Interrupted:
        raise
    except TrainingError as error:
        result = JobResult(job=job, status="failed", error=type(error).__name__, message=str(error))
    return store_result(workspace, result)


def _report(version: Version, model_store: str | None) -> str | None:
    """Where people read about a version."""
    file = version.file(_REPORT)
    if model_store is None or file is None:
        return None
    return f"s3://{model_store}/{blob_key(version.model, file.sha256)}"


def find_version(catalog: Catalog, job: str) -> Version | None:
    """Returns the version that a job published; None if it has not."""
    return next((version for version in reversed(_readable(catalog)) if version.lineage.get("run") == job), None)


def _readable(catalog: Catalog) -> list[Version]:
    """All versions, ascending; a damaged one stops no training."""
    return catalog.recent(len(catalog.numbers()))


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A job under way on this machine; `build` reads in the order in which things happen."""

    job: str
    records: Epochs  # of epochs and progress
    spec: JobSpec
    workspace: CheckpointStore
    lake: ObjectStore
    catalog: Catalog
    directory: Path
    prod: Channel | None
    should_stop: Callable[[], bool]
    deadline: float
    trained_by: str
    say: Say
    clock: Callable[[], float]
    group: Group | None  # of which this process is the leader; None: it trains alone
    instead: str | None = None  # why this is not what was requested

    def build(self) -> Version:
        manifest = admit(self.spec, self.lake)
        tested = fair_test(manifest, self._lessons.of_weights(self.spec.initial_weights), self._small)
        learn, validate, test = self._load(manifest, self._kept(manifest), manifest.part(Split.VALIDATION), tested)
        learned = self._train(manifest, learn, validate)
        model = learned.model
        tests = Progress("tests done", _TESTS, self.records.add_progress)
        temperature = choose_temperature(_logits(learned, validate), validate.targets.numpy())
        files, exported = self._export(manifest, model, temperature.value, learn, validate)
        tests.add()
        assessment = assess(
            exported,
            test,
            validate=validate,
            temperature=temperature,
            checks=self.spec.evaluation.checks,
            seed=self.spec.seed,
            picture=lambda photo: decode(fetch(self.lake, photo), SIDE),
            incumbent=self._incumbent(manifest, test),
            learned=learned,
        )
        tests.add()
        decision = assessment.decision
        calibrated = calibrate_model(files["model.onnx"], exported, learn, validate, learned=learned, decision=decision)
        exported = ExportedModel(files["model.onnx"])  # with its output of strangeness
        files |= self._decide(exported, test, decision)
        files |= self._abstain(calibrated)
        files |= self._refer(exported, validate, calibrated)
        tests.add()
        abstained = measure_model(calibrated, exported, test, decision, seed=self.spec.seed)
        tests.add()
        self.records.settle()
        gates = judge(self.spec.evaluation.gates, assessment, abstained.metrics() if abstained else {})
        return self._publish(manifest, files, assessment, gates, abstained)

    def try_out(self) -> dict[str, float]:
        """Train, and give the figures of the validation photos; what was answered is kept for comparing trials."""
        manifest = admit(self.spec, self.lake)
        learn, validate = self._load(manifest, self._kept(manifest), manifest.part(Split.VALIDATION))
        answers = answer(self._train(manifest, learn, validate).model, manifest.labels, validate)
        with suppress(ObjectExists):  # an earlier machine came as far; its answers are the same
            self.workspace.create(validation_key(self.job), answers.to_json())
        metrics = answers.metrics()
        self.say("tried", metrics)
        return metrics

    def _kept(self, manifest: Manifest) -> tuple[Photo, ...]:
        """Choose the training photos whose pixels are kept: all, or some spread over them where none is seen twice."""
        photos = manifest.part(Split.TRAIN)
        return photos[:: max(1, len(photos) // _KEPT)][:_KEPT] if self.spec.hyper_parameters.frozen else photos

    def _load(self, manifest: Manifest, *splits: tuple[Photo, ...]) -> list[LabelledPixels]:
        parameters = self.spec.hyper_parameters
        decoded = Progress("photos decoded", max(1, sum(map(len, splits))), self.records.add_progress)

        def check() -> None:
            self._check()
            decoded.add()

        with ThreadPoolExecutor(1) as beside:
            # The first network imports half of torch: seconds that the store's answers leave.
            network = beside.submit(build_model, parameters.architecture, len(manifest.labels))
            parts = [
                load_pixels(
                    self.lake,
                    photos,
                    manifest.labels,
                    parameters.image_size,
                    check=check,
                    directory=self.directory,
                )
                for photos in splits
            ]
        network.result()  # SpecMalformed
        self.say("photos decoded", {"classes": len(manifest.labels), "photos": len(manifest.photos)})
        return parts

    def _train(self, manifest: Manifest, learn: LabelledPixels, validate: LabelledPixels) -> Learned:
        self._record_machine()
        checkpoints = Checkpoints(self.workspace, self.job, report=self.say)
        try:
            if self.spec.hyper_parameters.frozen:
                return self._train_head(manifest, validate, checkpoints)
            model = train(
                learn,
                validate,
                classes=len(manifest.labels),
                parameters=self.spec.hyper_parameters,
                seed=self.spec.seed,
                initial_weights=self._initial_weights(),
                checkpoints=checkpoints,
                on_epoch=self.records.add,
                should_stop=self._should_stop,
                group=self.group,
            )
            return Learned(model=model)
        finally:
            self.records.settle()

    def _train_head(self, manifest: Manifest, validate: LabelledPixels, checkpoints: Checkpoints) -> Learned:
        photos, parameters = manifest.part(Split.TRAIN), self.spec.hyper_parameters

        def chunks(first: int) -> Iterator[Tensor]:
            size = parameters.image_size
            return stream_pixels(self.lake, photos[first:], size, batch=BATCH, check=self._check)

        return train_head(
            photos,
            targets_of(photos, manifest.labels),
            chunks,
            validate=validate,
            classes=len(manifest.labels),
            parameters=parameters.for_photos(len(photos)),
            seed=self.spec.seed,
            initial_weights=self._initial_weights() or {},
            checkpoints=checkpoints,
            on_progress=self.records.add_progress,
            on_epoch=self.records.add,
            should_stop=self._should_stop,
            device=(self.group or Group.alone()).device,
        )

    def _record_machine(self) -> None:
        facts = {
            **describe(),
            "processes": 1 if self.group is None else self.group.size,  # over all instances
            "trained_by": self.trained_by,
            "lock": self._lineage().get("lock", "unknown"),
        }
        number = len(list(self.workspace.keys(machines_prefix(self.job)))) + 1
        with suppress(ObjectExists):  # two machines began at once; either is a witness
            self.workspace.create(machine_key(self.job, number), canonical(facts))

    def _export(
        self,
        manifest: Manifest,
        model: Classifier,
        temperature: float,
        learn: LabelledPixels,
        validate: LabelledPixels,
    ) -> tuple[dict[str, Path], ExportedModel]:
        files = {name: self.directory / name for name in ("model.onnx", "weights.pt", "labels.json")}
        torch.save(model.state_dict(), files["weights.pt"])
        files["labels.json"].write_text(json.dumps(list(manifest.labels)))
        size = self.spec.hyper_parameters.image_size
        export_onnx(model, files["model.onnx"], labels=manifest.labels, size=size, temperature=temperature)
        exported = ExportedModel(files["model.onnx"])
        most = _PARITY_PHOTOS_FROZEN if self.spec.hyper_parameters.frozen else _PARITY_PHOTOS
        more = max(0, most - len(validate))
        photos = torch.cat([validate.pixels[:most], learn.pixels[:more]]).numpy()
        difference = check_parity(model, exported, photos, temperature=temperature)
        self.say("exported", {"bytes": files["model.onnx"].stat().st_size, "largest_difference": difference})
        if self.spec.evaluation.checks.in_eight_bits(self.spec.hyper_parameters.architecture):
            files["model.onnx"], exported = self._in_eight_bits(files["model.onnx"], exported, learn, validate)
        return files, exported

    def _decide(self, exported: ExportedModel, test: LabelledPixels, decision: Decision | None) -> dict[str, Path]:
        """Write how probabilities become a label, where that is not by the most probable, and what serving must get."""
        files: dict[str, Path] = {}
        if decision:
            files[DECISION_FILE] = self.directory / DECISION_FILE
            files[DECISION_FILE].write_bytes(decision.to_json())
        photos = [fetch(self.lake, photo) for photo in _probe_photos(test)]
        return files | write_probes(exported, photos, self.directory, decision=decision)

    def _abstain(self, calibrated: Calibrated) -> dict[str, Path]:
        """Write when the version abstains; nothing where it cannot, and the job's log says why."""
        if calibrated.abstention is None:
            self.say("abstention not calibrated", {"because": calibrated.because})
            return {}
        path = self.directory / ABSTENTION_FILE
        path.write_bytes(calibrated.abstention.to_json())
        self.say("abstention calibrated", asdict(calibrated.abstention))
        return {ABSTENTION_FILE: path}

    def _refer(self, exported: ExportedModel, validate: LabelledPixels, calibrated: Calibrated) -> dict[str, Path]:
        """Write what monitoring compares recorded predictions with; nothing without validation photos."""
        reference = describe_validation(exported, validate, calibrated.subspace, seed=self.spec.seed)
        if reference is None:
            self.say("no reference for drift", {"because": "there are no validation photos"})
            return {}
        path = self.directory / REFERENCE_FILE
        path.write_bytes(reference.to_bytes())
        return {REFERENCE_FILE: path}

    def _in_eight_bits(
        self, whole: Path, exported: ExportedModel, learn: LabelledPixels, validate: LabelledPixels
    ) -> tuple[Path, ExportedModel]:
        """Returns the eight-bit model, or the one there is if that is better."""
        path = self.directory / "model.int8.onnx"
        quantise(whole, path, learn.pixels.numpy())
        smaller = ExportedModel(path)
        found = compare_quantised(exported, smaller, validate, calls=self.spec.evaluation.checks.calls)
        self.say("quantised", {**asdict(found), "refused": found.refused})
        return (whole, exported) if found.refused else (path, smaller)

    @property
    def _lessons(self) -> SeenPhotos:
        return SeenPhotos(self.catalog, self.lake)

    def _small(self, photo: Photo) -> Grid:
        return grid(fetch(self.lake, photo))

    def _incumbent(self, manifest: Manifest, test: LabelledPixels) -> Incumbent | NotCompared | None:
        def pixels(size: int) -> Pixels:
            return load_pixels(self.lake, test.photos, manifest.labels, size, check=self._check).pixels.numpy()

        if self.prod is None:
            return None
        return find_incumbent(
            self.catalog,
            self.prod,
            self.directory / "incumbent",
            labels=manifest.labels,
            photos=test.photos,
            pixels=pixels,
            lessons=self._lessons,
            picture=self._small,
            tried=stratified(test.targets.numpy(), self.spec.evaluation.checks.photos),
            initial_weights=self.spec.initial_weights,
        )

    def _report(
        self,
        number: int,
        manifest: Manifest,
        assessment: Assessment,
        gates: tuple[GateResult, ...],
        metrics: Mapping[str, float],
        abstained: AbstentionFigures | None,
    ) -> dict[str, Path]:
        """Write all that tells of version `number`."""
        evaluation = assessment.evaluation
        contents = {
            "metrics.json": metrics,
            "confusion.json": {"labels": [each.label for each in evaluation.classes], "counts": evaluation.confusion},
            "evaluation.json": {
                **assessment.facts(),
                "gates": [asdict(gate) for gate in gates],
                "abstention": asdict(abstained) if abstained else None,
            },
        }
        for name, content in contents.items():
            (self.directory / name).write_text(json.dumps(content, indent=1))
        report = Report(
            title=f"{self.catalog.model}, version {number}",
            job=self.job,
            assessment=assessment,
            gates=gates,
            epochs=epoch_records(self.workspace, self.job)[0],
            counts=manifest.counts(),
            hyper_parameters=asdict(self.spec.hyper_parameters),
            lineage=self._lineage(),
            abstained=abstained,
        )
        write_report(report, self.directory / _REPORT)
        write_model_card(report, self.directory / "model-card.md")
        write_sbom(
            self.directory / "sbom.cdx.json", model=self.catalog.model, job=self.job, weights=self._packaged_weights
        )
        return {name: self.directory / name for name in (*contents, _REPORT, "model-card.md", "sbom.cdx.json")}

    def _publish(
        self,
        manifest: Manifest,
        files: dict[str, Path],
        assessment: Assessment,
        gates: tuple[GateResult, ...],
        abstained: AbstentionFigures | None,
    ) -> Version:
        if find_result(self.workspace, self.job):  # one small read, and no version of a job that nobody wants any more
            raise JobCancelled("the job was ended while it ran; nothing was published")
        metrics = assessment.metrics() | as_metrics(gates) | (abstained.metrics() if abstained else {})
        version = None
        for number in self._numbers():
            files |= self._report(number, manifest, assessment, gates, metrics, abstained)
            with suppress(NumberTaken):  # another job was first: its report names this number, so ours names the next
                version = self.catalog.publish(
                    files, labels=manifest.labels, metrics=metrics, lineage=self._lineage(), number=number
                )
                break
        assert version is not None  # noqa: S101 - numbers do not end
        self.say("evaluated", metrics)
        self.say("published", {"version": version.number, "digest": version.digest})
        return version

    def _numbers(self) -> Iterator[int]:
        """Numbers for the version, until one is taken by it: first those that this job has published under already.

        An instance may end between publishing and saying so. Its successor names the same number in the same report.
        """
        yield from (version.number for version in self.catalog.recent(LOOK_BACK) if version.lineage == self._lineage())
        while True:
            yield self.catalog.next_number()

    @property
    def _packaged_weights(self) -> PackagedWeights | None:
        return find_packaged(self.spec.initial_weights) if self.spec.initial_weights else None

    def _lineage(self) -> dict[str, str]:
        spec = self.spec
        facts = {
            "run": self.job,
            "dataset": spec.dataset,
            "code": spec.code,
            "lock": hashlib.sha256(_LOCK.read_bytes()).hexdigest() if _LOCK.is_file() else None,
            "seed": str(spec.seed),
            "initial_weights": spec.initial_weights,
            "initial_weights_from": weights.sentence if (weights := self._packaged_weights) else None,
            "instead": self.instead,
            "trained_by": self.trained_by,
            "requested_by": spec.requested_by,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}

    def _initial_weights(self) -> Mapping[str, Tensor] | None:
        """Load what to start from: submitted, of an installed package, or an earlier version's; WeightsRefused."""
        wanted, study = self.spec.initial_weights, self.spec.study
        if wanted is None:
            return None
        try:
            data = self.workspace.get(study_weights_key(study) if study else initial_weights_key(self.job))
        except ObjectMissing:
            packaged = find_packaged(wanted)
            data = (read_packaged(packaged) if packaged else None) or self._published_file(wanted)
        if hashlib.sha256(data).hexdigest() != wanted:
            raise WeightsRefused("the initial weights have other bytes than the job asks for; submit the job again")
        return read_weights(data)

    def _published_file(self, sha256: str) -> bytes:
        for version in reversed(_readable(self.catalog)):
            for file in version.files:
                if file.sha256 == sha256:
                    return self.catalog.fetch(version, self.directory / "initial")[file.name].read_bytes()
        raise WeightsRefused(f"no weights {sha256}: neither submitted with the job nor a file of a published version")

    def _should_stop(self) -> bool:
        if self.clock() > self.deadline:
            raise TookTooLong(
                f"not done after {self.spec.max_seconds} s; give more time, or fewer epochs, or smaller photos"
            )
        return self.should_stop()

    def _check(self) -> None:
        if self._should_stop():
            raise Interrupted("interrupted while photos were loaded; nothing was lost")


def _logits(learned: Learned, photos: LabelledPixels) -> Numbers:
    """What the network says of validation photos; what a frozen one saw of them is known already."""
    if learned.embeddings is None:
        return answer_logits(learned.model, photos.pixels.numpy())
    with torch.no_grad():
        return learned.model.head(learned.embeddings.embedding[-len(photos) :].float()).numpy()


def _gates_message(version: Version) -> str | None:
    names = {state: [name for name, each in states(version.metrics).items() if each is state] for state in State}
    parts = (f"gates {state}: {', '.join(names[state])}" for state in (State.FAILED, State.UNMEASURED) if names[state])
    if said := "; ".join(parts):
        return f"{said}; the report of version {version.number} says what to try"
    return None


def _probe_photos(test: LabelledPixels) -> tuple[Photo, ...]:
    """Choose some, spread over the test split."""
    return test.photos[:: max(1, len(test) // PROBES)][:PROBES]
