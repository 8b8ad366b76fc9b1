"""Drawing in an animal's own coordinates, turned, scaled and mirrored onto the canvas."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

type Point = tuple[float, float]
type Colour = tuple[int, int, int]

SUPERSAMPLING = 2
_AROUND = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_AROUND), np.sin(_AROUND)], axis=1)


class Pen:
    """Draws shapes given in units of about the animal's height; y points up, the origin is the animal's middle."""

    def __init__(self, size: int, *, scale: float, turn: float, mirror: bool, centre: Point) -> None:
        """Draw on a transparent `size`×`size` canvas; `scale` and `centre` are shares of it, `turn` is in degrees."""
        side = size * SUPERSAMPLING
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        flip = -1 if mirror else 1
        self._matrix = side * scale * np.array([[flip * cos, -flip * sin], [-sin, -cos]])
        self._origin = side * np.array(centre)
        self._size = size
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Sequence[Point] | npt.NDArray[np.float64], colour: Colour) -> None:
        """Fill the polygon."""
        self._draw.polygon(self._to_canvas(points), fill=(*colour, 255))

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, turn: float = 0) -> None:
        """Fill an ellipse turned by `turn` degrees."""
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        axes = np.array([[radii[0] * cos, radii[0] * sin], [-radii[1] * sin, radii[1] * cos]])
        self.polygon(_CIRCLE @ axes + centre, colour)

    def stroke(self, points: Sequence[Point], widths: Sequence[float], colour: Colour) -> None:
        """Draw a rounded stroke whose width changes from point to point."""
        for (start, width), (end, next_width) in zip(
            zip(points, widths, strict=True), zip(points[1:], widths[1:], strict=True), strict=False
        ):
            a, b = np.array(start), np.array(end)
            side = np.array([a[1] - b[1], b[0] - a[0]]) / (np.linalg.norm(b - a) + 1e-9) / 2
            corners = np.array([a + side * width, b + side * next_width, b - side * next_width, a - side * width])
            self.polygon(corners, colour)
        for point, width in zip(points, widths, strict=True):
            self.ellipse(point, (width / 2, width / 2), colour)

    def finish(self) -> Image.Image:
        """Returns the picture at its final size, with soft edges."""
        return self.image.reduce(SUPERSAMPLING)

    def _to_canvas(self, points: Sequence[Point] | npt.NDArray[np.float64]) -> list[Point]:
        moved = np.asarray(points, dtype=np.float64) @ self._matrix + self._origin
        return list(zip(moved[:, 0].tolist(), moved[:, 1].tolist(), strict=True))


def curve(start: Point, bend: Point, end: Point, steps: int = 8) -> list[Point]:
    """Returns points along a quadratic Bézier curve."""
    t = np.linspace(0, 1, steps)[:, None]
    points = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)
    return [(float(x), float(y)) for x, y in points]
