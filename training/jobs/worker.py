"""A non-leading process of a distributed training: it trains on its share of every batch."""

from collections.abc import Callable
from pathlib import Path

from registry.store.memory_store import MemoryStore
from registry.store.object_store import ObjectStore
from training.dataset.manifest import Split, load_manifest
from training.distributed.group import Group
from training.errors import Interrupted
from training.fitting.checkpoint import Checkpoints
from training.fitting.pixels import load_pixels
from training.fitting.train import train
from training.job import JobSpec


def assist(
    spec: JobSpec, *, lake: ObjectStore, group: Group, directory: Path, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Train together with the group's leader, which alone loads weights, stores, evaluates and publishes.

    Raises Interrupted if this instance is interrupted, or another process is lost.
    """

    def check() -> None:
        if should_stop():
            raise Interrupted("interrupted while photos were loaded; no progress was lost")

    if spec.hyper_parameters.frozen:
        return  # the leader embeds and trains alone
    manifest = load_manifest(lake, spec.dataset)
    learn, validate = (
        load_pixels(
            lake,
            manifest.part(split),
            manifest.labels,
            spec.hyper_parameters.image_size,
            check=check,
            directory=directory,
        )
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    try:
        train(
            learn,
            validate,
            classes=len(manifest.labels),
            parameters=spec.hyper_parameters,
            seed=spec.seed,
            initial_weights=None,  # the leader's are broadcast
            checkpoints=Checkpoints(MemoryStore(), "assistant"),
            on_epoch=lambda _record: None,
            should_stop=should_stop,
            group=group,
        )
    except RuntimeError as error:  # raised by torch if another process no longer responds
        raise Interrupted(f"another process of the training was lost: {error}") from error
