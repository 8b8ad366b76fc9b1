"""Which frames are worth a question: by time, and by motion."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

type Luma = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 64, 36
"""The size at which motion is looked for: an animal of a tenth of the picture's width is some 20 cells."""

_NOISE = 6.0
"""Grey levels that a cell may differ by. It is the mean of hundreds of pixels, whose noise is less."""
_CELLS = 6
"""Cells that must differ; single ones are insects and codec artefacts."""
_MEMORY = 0.15
"""Share of the newest frame in the remembered background: it follows a change within some ten frames."""


class Pace:
    """Lets a frame through every 1/`per_second` seconds, on a grid, so that jitter does not add up."""

    def __init__(self, per_second: float) -> None:
        self._step = 1 / per_second
        self._due: float | None = None

    def due(self, now: float) -> bool:
        """Whether the frame that arrived now is to be classified."""
        if self._due is not None and now < self._due:
            return False
        behind = self._due is None or now - self._due > self._step
        self._due = now + self._step if behind or self._due is None else self._due + self._step
        return True


class Motion:
    """Compares small frames with a background that follows slowly."""

    def __init__(self) -> None:
        self._background: npt.NDArray[np.float32] | None = None

    def moving(self, luma: Luma) -> bool:
        """Whether something moved; a change of light over the whole picture is not motion, nor is the first frame."""
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
    """What is done with a frame."""

    classify: bool
    moving: bool


class Sampler:
    """Both rules for one camera: while something moves, every frame on the grid; otherwise one now and then."""

    def __init__(self, *, per_second: float, still_seconds: float) -> None:
        self._pace = Pace(per_second)
        self._still = still_seconds
        self._motion = Motion()
        self._asked: float | None = None

    def due(self, now: float) -> bool:
        """Whether the frame is on the grid; only then its pixels are needed."""
        return self._pace.due(now)

    def judge(self, luma: Luma, now: float) -> Verdict:
        """Decide on a frame on the grid."""
        moving = self._motion.moving(luma)
        classify = moving or self._asked is None or now - self._asked >= self._still
        if classify:
            self._asked = now
        return Verdict(classify=classify, moving=moving)
