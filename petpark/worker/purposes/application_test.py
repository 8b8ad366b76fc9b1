"""The purpose `application-test`: classify held-out photos through the deployed endpoint."""

import contextlib
import math
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from petpark.endpoints import api_keys
from petpark.models import subjects
from petpark.targets.target import Target
from petpark.worker.purposes.channel_moves import wait_for_digest
from petpark.worker.purposes.findings import Assignment, Findings
from registry.encoding import DIGEST, SHA256, Fields
from registry.layout.data_lake import photo_key
from registry.layout.roles import Role
from serving.auth.key_record import KeyScope
from training.dataset.manifest import Photo, Split, load_manifest
from training.evaluation.acceptance import Answered, Claim, Share, claimed_minus_found, measure

MOST_PHOTOS: Final = 500
_DOWNLOAD_THREADS: Final = 8
_BATCH: Final = 64


def test(assignment: Assignment) -> Findings:
    """Classify photos of a dataset's test split through a stack's endpoint, and compare with the version's report.

    Outcomes: `passed`; `refused` if the accuracy is significantly below the report's (95 %) or the endpoint serves
    another digest. Raises OrderMalformed, `EndpointUnfit`, Interrupted, TookTooLong.
    """

    def read(fields: Fields) -> tuple[int, str, str, str]:
        version, digest = fields.count("version"), fields.text("digest", DIGEST)
        return version, digest, fields.text("stack"), fields.text("dataset", SHA256)

    number, digest, stack, dataset = assignment.order.read(read)
    target = assignment.open_target(stack)
    if problem := wait_for_digest(assignment, lambda: target, digest):
        message = f"the endpoint of {stack} does not serve version {number}: {problem}"
        return Findings(outcome="refused", version=number, digest=digest, message=message)
    photos = held_out(target, dataset)
    with _key(assignment, target) as key:
        subject = subjects.of_endpoint(target.endpoint_urls[stack], lambda: target, key=key)
        answered: list[Answered] = []
        for batch in _batches(photos):
            assignment.check()
            labels = subject.answer([body for _, body in batch])
            answered += [
                Answered(key=photo.key, truth=photo.label, answer=label or "", groups={})
                for (photo, _), label in zip(batch, labels, strict=True)
            ]
    found = measure(answered)
    (low, high), share = found.all.interval, found.all.share
    metrics = {"accuracy": share, "accuracy_low": low, "accuracy_high": high, "n": float(found.all.photos)}
    worse, message = judge(subject.claim, found.all)
    outcome = "refused" if worse else "passed"
    return Findings(
        outcome=outcome, version=number, digest=digest, metrics=metrics, message=f"{subject.what}: {message}"
    )


def judge(claim: Claim | None, found: Share) -> tuple[bool, str]:
    """Returns whether the measured accuracy is significantly below the claim, and a sentence about both."""
    text = f"{found.right} of {found.photos} photos right"
    if claim is None:
        return False, f"{text}; its report has no figure to compare with"
    low, _ = claimed_minus_found(claim, found)
    text += f"; its report says {claim.accuracy:.1%} of {claim.photos}"
    return low > 0, f"{text}, at least {low:.1%} more" if low > 0 else text


def held_out(target: Target, dataset: str) -> list[tuple[Photo, bytes]]:
    """Returns at most 500 photos of a dataset's test split, evenly spaced, with their bytes."""
    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
    photos = load_manifest(lake, dataset).part(Split.TEST)
    chosen = photos[:: max(1, math.ceil(len(photos) / MOST_PHOTOS))]
    with ThreadPoolExecutor(_DOWNLOAD_THREADS) as pool:
        bodies = pool.map(lambda photo: lake.get(photo_key(photo.sha256)), chosen)
        return list(zip(chosen, bodies, strict=True))


def _batches(photos: list[tuple[Photo, bytes]]) -> list[list[tuple[Photo, bytes]]]:
    return [photos[first : first + _BATCH] for first in range(0, len(photos), _BATCH)]


@contextlib.contextmanager
def _key(assignment: Assignment, target: Target) -> Generator[str | None]:
    """Yield an API key that is revoked after the test; None if the endpoint requires none."""
    if target.outputs.endpoint.api_keys == "open":
        yield None
        return
    name = f"test-{assignment.order.job[-24:]}".strip("-")
    with contextlib.suppress(api_keys.KeyUnknown):  # left by an interrupted attempt
        api_keys.revoke(target, name)
    made = api_keys.create(target, name, rate=100.0, burst=100, lifetime=timedelta(hours=2), scopes=[KeyScope.CLASSIFY])
    try:
        assignment.wait(api_keys.HEARD_WITHIN)
        yield made.key
    finally:
        api_keys.revoke(target, name)
