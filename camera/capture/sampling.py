"""Selects the frames to classify, by time and by motion."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

type Luma = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 64, 36
"""Size of the frames for motion detection: an animal of a tenth of the frame's width covers some 20 cells."""

_NOISE = 6.0
"""Maximum difference of a cell in grey levels. A cell is the mean of hundreds of pixels, so it has less noise."""
_CELLS = 6
"""Minimum number of differing cells; single ones are insects and codec artefacts."""
_MEMORY = 0.15
"""Weight of the newest frame in the background, which adapts within some ten frames."""


class Pace:
    """Selects a frame every 1/`per_second` seconds, on a grid, so that jitter does not add up."""

    def __init__(self, per_second: float) -> None:
        self._step = 1 / per_second
        self._due: float | None = None

    def due(self, now: float) -> bool:
        """Returns whether the frame that arrived now is due."""
        if self._due is not None and now < self._due:
            return False
        behind = self._due is None or now - self._due > self._step
        self._due = now + self._step if behind or self._due is None else self._due + self._step
        return True


class Motion:
    """Compares small frames with a slowly adapting background."""

    def __init__(self) -> None:
        self._background: npt.NDArray[np.float32] | None = None

    def moving(self, luma: Luma) -> bool:
        """Returns whether something moved. The first frame and a change of light of the whole frame do not count."""
        frame = luma.astype(np.float32)
        if self._background is None or self._background.shape != frame.shape:
            self._background = frame
            return False
        difference = frame - self._background
        self._background += np.float32(_MEMORY) * difference
        changed = np.abs(difference - np.median(difference)) > _NOISE
        return int(np.count_nonzero(changed)) >= _CELLS


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Decision about a frame."""

    classify: bool
    moving: bool


class Sampler:
    """Selects the frames of one camera: every frame on the grid during motion, otherwise one in `still_seconds`."""

    def __init__(self, *, per_second: float, still_seconds: float) -> None:
        self._pace = Pace(per_second)
        self._still = still_seconds
        self._motion = Motion()
        self._asked: float | None = None

    def due(self, now: float) -> bool:
        """Returns whether the frame is on the grid; only then its pixels are needed."""
        return self._pace.due(now)

    def judge(self, luma: Luma, now: float) -> Verdict:
        """Returns the decision about a frame on the grid."""
        moving = self._motion.moving(luma)
        classify = moving or self._asked is None or now - self._asked >= self._still
        if classify:
            self._asked = now
        return Verdict(classify=classify, moving=moving)
