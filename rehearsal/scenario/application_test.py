"""Photos that no training saw, put to a running endpoint over HTTP: what the application really answers."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import numpy as np

from petpark.targets.target import Target
from registry.layout.data_lake import photo_key
from registry.layout.roles import Role
from rehearsal.report.summary import Accuracy, Prediction
from training.dataset import load_manifest
from training.evaluation.figures.metrics import evaluate

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_CLIENTS = 4
_FETCHES = 8


class ApplicationTestFailed(Exception):
    """The endpoint did not answer a photo as an endpoint should."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A photo of the test split: its key in the dataset, its true label, its bytes."""

    key: str
    label: str
    photo: bytes


def held_out(target: Target, dataset: str, *, most: int) -> list[HeldOut]:
    """The photos of a dataset's test split, evenly thinned to at most so many."""
    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
    photos = [photo for photo in load_manifest(lake, dataset).photos if photo.split == "test"]
    photos = photos[:: math.ceil(len(photos) / most)]
    with ThreadPoolExecutor(_FETCHES) as pool:
        bodies = pool.map(lambda photo: lake.get(photo_key(photo.sha256)), photos)
        return [
            HeldOut(key=photo.key, label=photo.label, photo=body) for photo, body in zip(photos, bodies, strict=True)
        ]


def ask(
    endpoint: str,
    photos: Sequence[HeldOut],
    *,
    explained: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Prediction]:
    """Classify `photos` through `endpoint`, in order; `explained` answers or so, evenly spread, carry their map.

    Raises `ApplicationTestFailed` when a photo is not answered with 200.
    """
    every = max(1, len(photos) // explained) if explained else len(photos) + 1
    with httpx.Client(base_url=endpoint, timeout=_TIMEOUT, trust_env=False) as client:

        def one(numbered: tuple[int, HeldOut]) -> Prediction:
            number, held_out = numbered
            return _ask(client, held_out, explain=number % every == every - 1)

        answers: list[Prediction] = []
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for answer in pool.map(one, enumerate(photos)):
                answers.append(answer)
                progress(len(answers), len(photos))
    return answers


def accuracies(predictions: Sequence[Prediction], labels: Sequence[str]) -> tuple[Accuracy, Accuracy]:
    """Plain accuracy, and balanced accuracy, in which classes have equal weight."""
    truth = np.array([labels.index(prediction.truth) for prediction in predictions])
    answers = np.array([labels.index(prediction.label) for prediction in predictions])
    found = evaluate(truth, answers, labels)
    (low, high), (balanced_low, balanced_high) = found.accuracy_interval, found.balanced_accuracy_interval
    return (
        Accuracy(value=found.accuracy, low=low, high=high, n=found.photos),
        Accuracy(value=found.balanced_accuracy, low=balanced_low, high=balanced_high, n=found.photos),
    )


def _ask(client: httpx.Client, held_out: HeldOut, *, explain: bool) -> Prediction:
    response = client.post(
        "/v1/classify",
        params={"explain": "true"} if explain else {},
        content=held_out.photo,
        headers={"content-type": "image/jpeg"},
    )
    if response.status_code != HTTPStatus.OK:
        raise ApplicationTestFailed(
            f"{client.base_url} answered {response.status_code} to photo {held_out.key}: {response.text[:300]}"
        )
    answer = response.json()
    label = answer["label"]
    return Prediction(
        name=held_out.key,
        photo=held_out.photo,
        truth=held_out.label,
        label=label,
        probability=float(answer["probabilities"][label]),
        activation_map=_map_of(answer, label),
    )


def _map_of(answer: dict[str, object], label: str) -> Sequence[Sequence[float]] | None:
    maps = answer.get("activation_map")
    return maps.get(label) if isinstance(maps, dict) else None
