"""The files of a version: network, labels, decision rule, probes, abstention, and the reference for drift."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch

from registry.versions.abstention import ABSTENTION_FILE
from registry.versions.decision import DECISION_FILE, Decision
from registry.versions.reference import REFERENCE_FILE
from training.dataset.manifest import Manifest, Photo
from training.evaluation.drift_reference import describe_validation
from training.evaluation.selective.abstaining import Calibrated
from training.fitting.pixels import LabelledPixels, fetch
from training.jobs.context import JobContext
from training.jobs.version.quantise import compare_quantised, quantise
from training.networks.export import ExportedModel, check_parity, export_onnx, write_probes
from training.networks.model import Classifier

PROBES: Final = 5
_PARITY_PHOTOS: Final = 1000
_PARITY_PHOTOS_FROZEN: Final = 100  # a network that is large for a CPU, and that is exported as it was embedded with


def export(
    context: JobContext,
    manifest: Manifest,
    model: Classifier,
    temperature: float,
    learn: LabelledPixels,
    validate: LabelledPixels,
) -> tuple[dict[str, Path], ExportedModel]:
    """Write network, weights and labels. Returns the files by name, and the network as serving runs it."""
    files = {name: context.directory / name for name in ("model.onnx", "weights.pt", "labels.json")}
    torch.save(model.state_dict(), files["weights.pt"])
    files["labels.json"].write_text(json.dumps(list(manifest.labels)))
    size = context.spec.hyper_parameters.image_size
    export_onnx(model, files["model.onnx"], labels=manifest.labels, size=size, temperature=temperature)
    exported = ExportedModel(files["model.onnx"])
    most = _PARITY_PHOTOS_FROZEN if context.spec.hyper_parameters.frozen else _PARITY_PHOTOS
    more = max(0, most - len(validate))
    photos = torch.cat([validate.pixels[:most], learn.pixels[:more]]).numpy()
    difference = check_parity(model, exported, photos, temperature=temperature)
    context.report("exported", {"bytes": files["model.onnx"].stat().st_size, "largest_difference": difference})
    if context.spec.evaluation.checks.in_eight_bits(context.spec.hyper_parameters.architecture):
        files["model.onnx"], exported = _in_eight_bits(context, files["model.onnx"], exported, learn, validate)
    return files, exported


def _in_eight_bits(
    context: JobContext, whole: Path, exported: ExportedModel, learn: LabelledPixels, validate: LabelledPixels
) -> tuple[Path, ExportedModel]:
    """Returns the quantised model, or the original one if that is better."""
    path = context.directory / "model.int8.onnx"
    quantise(whole, path, learn.pixels.numpy())
    smaller = ExportedModel(path)
    found = compare_quantised(exported, smaller, validate, calls=context.spec.evaluation.checks.calls)
    context.report("quantised", {**asdict(found), "refused": found.refused})
    return (whole, exported) if found.refused else (path, smaller)


def write_decision(
    context: JobContext, exported: ExportedModel, test: LabelledPixels, decision: Decision | None
) -> dict[str, Path]:
    """Write the decision rule, if it is not the most probable label, and the probes for serving."""
    files: dict[str, Path] = {}
    if decision:
        files[DECISION_FILE] = context.directory / DECISION_FILE
        files[DECISION_FILE].write_bytes(decision.to_json())
    photos = [fetch(context.lake, photo) for photo in _probe_photos(test)]
    return files | write_probes(exported, photos, context.directory, decision=decision)


def write_abstention(context: JobContext, calibrated: Calibrated) -> dict[str, Path]:
    """Write the rule by which the version abstains. Without enough photos, write nothing and log the reason."""
    if calibrated.abstention is None:
        context.report("abstention not calibrated", {"because": calibrated.because})
        return {}
    path = context.directory / ABSTENTION_FILE
    path.write_bytes(calibrated.abstention.to_json())
    context.report("abstention calibrated", asdict(calibrated.abstention))
    return {ABSTENTION_FILE: path}


def write_reference(
    context: JobContext, exported: ExportedModel, validate: LabelledPixels, calibrated: Calibrated
) -> dict[str, Path]:
    """Write the reference for drift. Without validation photos, write nothing and log the reason."""
    reference = describe_validation(exported, validate, calibrated.subspace, seed=context.spec.seed)
    if reference is None:
        context.report("no reference for drift", {"because": "there are no validation photos"})
        return {}
    path = context.directory / REFERENCE_FILE
    path.write_bytes(reference.to_bytes())
    return {REFERENCE_FILE: path}


def _probe_photos(test: LabelledPixels) -> tuple[Photo, ...]:
    """Returns `PROBES` photos, spread over the test split."""
    return test.photos[:: max(1, len(test) // PROBES)][:PROBES]
