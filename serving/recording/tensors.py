"""Runs the model on tensors and records their sampled images, for REST and gRPC."""

import time
from collections.abc import Mapping, Sequence

from serving.inference.session import Pixels, Scores
from serving.recording.recorder import RequestRecording
from serving.release.live import Deployed


def answer_tensors(
    images: Pixels, names: Sequence[str], current: Deployed, recording: RequestRecording | None
) -> Mapping[str, Scores]:
    """Returns the outputs `names` of images [N, size, size, 3], and possibly others."""
    model = current.model
    items = [item for item in range(len(images)) if recording is not None and recording.wants(item)]
    if recording is None or not items:
        return model.session.outputs(images, tuple(names))
    began = time.perf_counter()
    outputs = model.session.outputs(images, tuple(dict.fromkeys((*names, *model.recorded_outputs))))
    seconds = (time.perf_counter() - began) / len(images)
    for item in items:
        found = model.prediction_of(images[item], outputs, item, seconds)
        recording.record(None, found, model=model, entry=current.move.number, item=item)
    return outputs
