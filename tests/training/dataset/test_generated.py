"""The generated photos: always the same, and not to be told apart by colour or layout."""

import errno
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from training.dataset.generated import KINDS, SIZE, draw_photo, generate

TRAIN, TEST = 560, 240


@pytest.fixture(scope="module")
def photos() -> npt.NDArray[np.uint8]:
    """Photos of seed 1; even ones show cats, odd ones dogs."""
    drawn = (draw_photo(KINDS[number % 2], seed=1, number=number) for number in range(TRAIN + TEST))
    return np.stack([np.asarray(Image.open(io.BytesIO(data)).resize((32, 32), Image.Resampling.BOX)) for data in drawn])


def test_the_set_is_a_function_of_count_and_seed(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    generate(tmp_path, count=60, seed=3, progress=lambda done, of: seen.append((done, of)))
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert files == sorted(f"{KINDS[number % 2]}/{number:06d}.jpg" for number in range(60))
    assert (tmp_path / "dog" / "000041.jpg").read_bytes() == draw_photo("dog", seed=3, number=41)
    assert draw_photo("dog", seed=4, number=41) != draw_photo("dog", seed=3, number=41)
    assert seen[-1] == (60, 60)


def test_photos_are_jpegs_of_one_size():
    with Image.open(io.BytesIO(draw_photo("cat", seed=1, number=0))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (SIZE, SIZE), "RGB")


def test_many_photos_look_like_night(photos: npt.NDArray[np.uint8]):
    grey = [np.ptp(photo.astype(int), axis=2).mean() < 4 for photo in photos]
    assert 0.1 < np.mean(grey) < 0.5


def best_linear_accuracy(features: npt.NDArray[np.float64]) -> float:
    """Returns what the best of several ridge classifiers reaches on the photos that it was not fitted to."""
    features = (features - features[:TRAIN].mean(axis=0)) / (features[:TRAIN].std(axis=0) + 1e-6)
    truth = np.where(np.arange(TRAIN + TEST) % 2, 1.0, -1.0)
    learn, test = features[:TRAIN], features[TRAIN:]
    accuracies: list[float] = []
    for strength in (10.0, 100.0, 1_000.0, 10_000.0):
        kernel = learn @ learn.T + strength * np.eye(TRAIN)  # the dual form: fewer photos than pixels
        answers = test @ (learn.T @ np.linalg.solve(kernel, truth[:TRAIN]))
        accuracies.append(float(np.mean((answers > 0) == (truth[TRAIN:] > 0))))
    return max(accuracies)


@pytest.mark.parametrize("side", [8, 16, 32])
def test_a_linear_model_on_pixels_cannot_tell_them_apart(photos: npt.NDArray[np.uint8], side: int):
    small = photos.reshape(len(photos), side, 32 // side, side, 32 // side, 3).mean(axis=(2, 4))
    assert best_linear_accuracy(small.reshape(len(photos), -1)) < 0.7


def test_a_linear_model_on_colours_cannot_tell_them_apart(photos: npt.NDArray[np.uint8]):
    joint = (photos // 64).astype(int) @ np.array([16, 4, 1])
    counts = np.stack([np.bincount(colours.ravel(), minlength=64) for colours in joint]).astype(float)
    single = np.stack(
        [np.concatenate([np.histogram(photo[..., c], 16, (0, 256))[0] for c in range(3)]) for photo in photos]
    ).astype(float)
    assert best_linear_accuracy(counts) < 0.7
    assert best_linear_accuracy(single) < 0.7


def test_the_test_of_difficulty_would_notice_an_easy_set(photos: npt.NDArray[np.uint8]):
    tinted = photos.astype(float)
    tinted[1::2, ..., 0] += 25
    assert best_linear_accuracy(tinted.reshape(len(photos), -1)) > 0.7


def test_where_processes_cannot_share_locks_one_draws_the_same_photos(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    generate(tmp_path / "many", count=4, seed=1)
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    generate(tmp_path / "one", count=4, seed=1)
    for photo in (tmp_path / "many").rglob("*.jpg"):
        assert photo.read_bytes() == (tmp_path / "one" / photo.relative_to(tmp_path / "many")).read_bytes()
