"""The rehearsed park's camera, by the very reader and sampler of the agent."""

import io
import threading
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from camera.capture.sampling import HEIGHT, WIDTH, Luma, Motion
from camera.capture.source import SourceLost, frames, quiet_ffmpeg
from rehearsal.scenario.camera.park_camera import FRAMES_A_SECOND, SECONDS_EACH, ParkCamera, walk_by
from training.dataset.generated import draw_photo

quiet_ffmpeg()


def test_animals_come_one_after_the_other_again_and_again() -> None:
    colours = {"red": (200, 40, 40), "blue": (40, 40, 200)}
    with ParkCamera([plain(colour) for colour in colours.values()], frames_a_second=500) as camera:
        seen: list[str] = []
        with closing(frames(camera.url, threading.Event())) as playing:
            for frame in playing:
                assert frame is not None
                red, _, blue = frame.image.to_ndarray(format="rgb24").mean(axis=(0, 1))
                colour = "red" if red > blue else "blue"
                if not seen or seen[-1] != colour:
                    seen.append(colour)
                if len(seen) == 3:
                    break
    assert seen == ["red", "blue", "red"]


def test_what_it_shows_moves_enough_for_the_agent_to_look() -> None:
    motion = Motion()
    shown = walk_by(draw_photo("dog", seed=1, number=1))
    assert len(shown) == FRAMES_A_SECOND * SECONDS_EACH
    moving = [motion.moving(luma(frame)) for frame in shown]
    assert sum(moving) > len(moving) / 2


@pytest.mark.parametrize("size", [(640, 480), (60, 200), (1, 1)])
def test_a_photo_of_any_shape_fills_the_picture(size: tuple[int, int]) -> None:
    sizes = {Image.open(io.BytesIO(frame)).size for frame in walk_by(plain((10, 200, 10), size))}
    assert sizes == {(320, 320)}


def test_a_camera_that_is_switched_off_is_lost_to_its_viewer() -> None:
    with ParkCamera([plain((1, 2, 3))]) as camera:
        playing = frames(camera.url, threading.Event(), read_seconds=2)
        next(playing)
    with pytest.raises(SourceLost):
        list(playing)


def luma(frame: bytes) -> Luma:
    return np.asarray(Image.open(io.BytesIO(frame)).convert("L").resize((WIDTH, HEIGHT)))


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()
