"""Probe photos: proof that this process reproduces the trainer's pixels and probabilities."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from imaging import PhotoError
from serving.inference.loaded_model import LoadedModel
from serving.inference.session import STRANGENESS

PROBES = "probes.json"
TOLERANCE = 1e-3


class ProbesFailed(Exception):
    """A version's probe photos are missing or invalid, or their predictions differ from the trainer's."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One photo of a version, and the trainer's results for it."""

    photo: str
    probabilities: tuple[float, ...]
    label: str | None = None
    """None if the trainer's label was too close to the threshold, and in versions without labels."""
    strangeness: float | None = None
    """None in versions without this output, and in older ones without it in their probes."""


def read_probes(path: Path) -> list[Probe]:
    """Returns the probes of `probes.json`. Raises `ProbesFailed` if it is malformed or empty."""
    try:
        rows = cast("list[Any]", json.loads(path.read_bytes()))
        probes = [
            Probe(
                photo=row["photo"],
                probabilities=tuple(map(float, row["probabilities"])),
                label=row.get("label"),
                strangeness=None if row.get("strangeness") is None else float(row["strangeness"]),
            )
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProbesFailed(f"{PROBES} is broken: {error!r}") from error
    if not probes:
        raise ProbesFailed(f"{PROBES} is empty: nothing shows that this process computes what the trainer computed")
    return probes


def reproduce(model: LoadedModel, files: Mapping[str, Path]) -> int:
    """Classify every probe photo as for a request. Returns their number. Raises `ProbesFailed`."""
    if PROBES not in files:
        raise ProbesFailed(f"the version has no {PROBES}")
    probes = read_probes(files[PROBES])
    for probe in probes:
        _check(model, probe, files)
    return len(probes)


def _check(model: LoadedModel, probe: Probe, files: Mapping[str, Path]) -> None:
    if probe.photo not in files:
        raise ProbesFailed(f"{PROBES} names {probe.photo}, which is not a file of the version")
    try:
        found = model.classify(files[probe.photo].read_bytes())
    except PhotoError as error:
        raise ProbesFailed(f"{probe.photo} cannot be decoded here: {error}") from error
    got = np.array(list(found.probabilities.values()))
    expected = np.array(probe.probabilities)
    if got.shape != expected.shape or not np.all(np.abs(got - expected) <= TOLERANCE):
        raise ProbesFailed(
            f"{probe.photo}: expected {expected.round(4).tolist()} within {TOLERANCE}, got {got.round(4).tolist()}; "
            "photos are decoded or computed differently here than in training"
        )
    if probe.label not in (None, found.label):
        raise ProbesFailed(
            f"{probe.photo}: expected the label {probe.label!r}, got {found.label!r} from the same probabilities; "
            "the version's decision differs from the trainer's"
        )
    if probe.strangeness is not None:
        _check_strangeness(model, probe.photo, files[probe.photo].read_bytes(), probe.strangeness)


def _check_strangeness(model: LoadedModel, name: str, photo: bytes, expected: float) -> None:
    """Compares the output itself with the trainer's: callers of the inference protocol get it in any case."""
    if STRANGENESS not in model.session.output_names:
        raise ProbesFailed(f"{PROBES} has the {STRANGENESS} of {name}; the model has no such output")
    got = float(model.session.outputs(model.decode(photo), (STRANGENESS,))[STRANGENESS][0])
    if not abs(got - expected) <= TOLERANCE:
        raise ProbesFailed(
            f"{name}: expected {STRANGENESS} {expected:.4f} within {TOLERANCE}, got {got:.4f}; "
            "what the version calls neither would be something else here than in training"
        )
