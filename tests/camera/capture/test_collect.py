"""Frames without visitors: which are taken, where they go, and that ingestion takes them."""

import csv
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from camera.capture.collect import INDEX, LABEL, CollectionPlan, Collector, Folder, FolderUnusable, collect
from camera.capture.source import Frame, SourceLost
from camera.settings import CameraSettings, parse_settings
from camera.visits.privacy import Area
from imaging import captured_at
from registry.store.memory_store import MemoryStore
from registry.versions.abstention import BACKGROUND
from tests.camera.conftest import Hands, write_video
from training.dataset.index import read_index
from training.dataset.ingest import ingest_from
from training.dataset.manifest import Split
from training.dataset.sources import FolderSource

STEP = 1.0


def frame(*, at: int | None = None, shade: int = 100, damaged: bool = False) -> Frame:
    """An empty place, or one with something at `at`."""
    pixels = np.full((144, 256, 3), shade, dtype=np.uint8)
    pixels[::6] += 20
    if at is not None:
        pixels[40:90, at : at + 40] = 250
    return Frame(image=av.VideoFrame.from_ndarray(pixels, format="rgb24"), position=None, camera=None, damaged=damaged)


def collector(
    folder: Path, hands: Hands, *plays: Sequence[Frame | Exception | None], people: Any = (), count: int = 9
) -> Collector:
    """A camera that plays one list a connection, a frame a second."""
    rest = list(plays)

    def play(_url: str, stop: threading.Event):
        if not rest:
            stop.set()
            return
        for each in rest.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each
            hands.pass_seconds(STEP)

    settings = CameraSettings(name="gate", url="rtsp://nowhere")
    found = Collector(
        settings,
        CollectionPlan(folder=folder, count=count, every_seconds=10.0, still_seconds=5.0),
        Folder(folder),
        detector=lambda _: people,
        clock=hands,
        play=play,
    )
    stop = threading.Event()
    stop.wait = lambda timeout=None: stop.is_set()
    found.run(stop)
    return found


def taken(folder: Path) -> list[Path]:
    return sorted((folder / LABEL).glob("*"))


def test_a_place_that_stands_still_is_taken_now_and_then(tmp_path, hands):
    found = collector(tmp_path, hands, [frame() for _ in range(40)])
    assert found.collected.written == len(taken(tmp_path)) == 4  # after 5, 15, 25, 35 s
    assert LABEL in BACKGROUND
    for path in taken(tmp_path):
        with Image.open(path) as image:
            assert image.size == (256, 144)
        assert captured_at(path.read_bytes())


def test_nothing_is_taken_while_something_moves_nor_soon_after(tmp_path, hands):
    walking = [frame(at=(number * 23) % 200) for number in range(20)]
    assert collector(tmp_path, hands, walking).collected.written == 0
    assert collector(tmp_path, hands, [*walking, *[frame() for _ in range(5)]]).collected.written == 0


def test_a_frame_with_a_face_is_not_written(tmp_path, hands):
    found = collector(tmp_path, hands, [frame() for _ in range(20)], people=[Area(1, 1, 20, 20)])
    assert (found.collected.written, found.collected.with_people) == (0, 2)
    assert not (tmp_path / LABEL).exists()


def test_a_detector_that_fails_has_nothing_written(tmp_path, hands):
    class Broken:
        def __bool__(self) -> bool:
            raise RuntimeError("no cascade")

    found = collector(tmp_path, hands, [frame() for _ in range(8)], people=Broken())
    assert (found.collected.written, found.collected.with_people) == (0, 1)


def test_damaged_frames_are_not_taken(tmp_path, hands):
    frames = [frame(damaged=True) if number % 2 else None for number in range(30)]
    assert collector(tmp_path, hands, frames).collected.written == 0


def test_a_lost_camera_is_tried_again_and_stillness_begins_anew(tmp_path, hands):
    lost = [*[frame() for _ in range(4)], SourceLost("gone")]
    found = collector(tmp_path, hands, lost, lost, [frame() for _ in range(8)])
    assert (found.collected.written, found.collected.losses) == (1, 2)


def test_enough_is_enough_and_a_second_run_adds(tmp_path, hands):
    assert collector(tmp_path, hands, [frame() for _ in range(99)], count=2).collected.written == 2
    assert collector(tmp_path, hands, [frame() for _ in range(99)], count=2).collected.written == 2
    rows = list(csv.DictReader(io.StringIO((tmp_path / INDEX).read_text())))
    assert [row["key"] for row in rows] == [f"{LABEL}/{path.name}" for path in taken(tmp_path)]
    assert {(row["label"], row["camera"]) for row in rows} == {(LABEL, "gate")}


def test_a_folder_that_takes_nothing_is_said(tmp_path, hands):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match="file"):
        collector(tmp_path / "file", hands, [frame() for _ in range(9)])


def test_videos_become_frames_that_ingestion_takes_with_their_cameras(tmp_path):
    """Real files, real detectors, and a thread for each camera."""
    rng = np.random.default_rng(3)
    out, cameras = tmp_path / "empty", []
    for name in ("gate", "lawn", "pond", "yard"):
        ground = Image.fromarray(rng.integers(90, 130, (24, 32, 3), dtype=np.uint8)).resize((320, 240))
        write_video(tmp_path / f"{name}.mp4", iter([ground] * 75))
        cameras.append({"name": name, "url": str(tmp_path / f"{name}.mp4")})
    settings = parse_settings({"home": str(tmp_path / "home"), "cameras": cameras}, where="the test")
    plan = CollectionPlan(folder=out, count=6, every_seconds=0, still_seconds=0.5)
    found = collect(settings, plan, threading.Event())
    assert {name for name, each in found.items() if each.written} == {"gate", "lawn", "pond", "yard"}, found
    index = read_index(INDEX, (out / INDEX).read_bytes())
    assert set(index.rows) == {f"{LABEL}/{path.name}" for path in taken(out)}
    for label in ("cat", "dog"):
        (out / label).mkdir()
        for number in range(24):
            noise = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(out / label / f"{number}.jpg")
    pets = [f"{label}/{number}.jpg,{label},," for label in ("cat", "dog") for number in range(24)]
    index = read_index(INDEX, (out / INDEX).read_bytes() + "\n".join(pets).encode())
    ingestion = ingest_from(FolderSource(out), MemoryStore(), seed=3, index=index)
    kept = [photo for photo in ingestion.manifest.photos if photo.label == LABEL]
    assert {photo.group for photo in kept} == {"gate", "lawn", "pond", "yard"}
    assert {photo.split for photo in kept} == set(Split)
    assert all(photo.captured_at for photo in kept)
