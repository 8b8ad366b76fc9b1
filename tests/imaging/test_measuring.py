"""Other processes measure as this one does, and what ends them ends nothing else."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from imaging import PhotoError, PhotoMeasures, PhotoUnreadable, measure, measuring
from imaging.measuring import Measurer, MeasuringFailed
from tests.imaging.test_measures import jpeg, picture

WHOLE = jpeg(picture())
PROGRAM = "import sys; from multiprocessing.connection import Connection; pipe = Connection(int(sys.argv[1]));"


def outcome(measurer: Measurer | None, data: bytes) -> PhotoMeasures | tuple[type, str]:
    try:
        return measure(data) if measurer is None else measurer.measure(data)
    except PhotoError as error:
        return type(error), str(error)


def processes(measurer: Measurer) -> list[subprocess.Popen[bytes]]:
    return [each._process for each in measurer._started]


def test_processes_find_what_is_found_here_whatever_threads_ask_them():
    photos = [jpeg(picture(seed)) for seed in range(5)] + [b"", b"no photo", WHOLE[:200], WHOLE[:-400]]
    with Measurer(processes=2, here=0) as measurer, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: outcome(measurer, data), photos * 4))
        started = processes(measurer)
    assert found == [outcome(None, data) for data in photos] * 4
    assert all(process.returncode is not None for process in started)


def test_a_few_photos_start_no_process_nor_does_a_single_core(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measuring, "_PROGRAM", ("-c", "raise SystemExit(3)"))
    with Measurer(processes=2, here=2) as measurer, Measurer(processes=1, here=0) as alone:
        assert measurer.measure(WHOLE) == measurer.measure(WHOLE) == alone.measure(WHOLE) == measure(WHOLE)
        assert processes(measurer) == processes(alone) == []
        with pytest.raises(MeasuringFailed, match="ended as it started, with 3"):
            measurer.measure(WHOLE)


def test_a_process_that_was_killed_is_replaced_and_its_photo_is_measured():
    with Measurer(processes=2, here=0) as measurer:
        measurer.measure(WHOLE)
        for process in processes(measurer):
            process.kill()
            process.wait()
        assert [measurer.measure(WHOLE) for _ in range(3)] == [measure(WHOLE)] * 3


def test_a_photo_that_ends_two_processes_is_unreadable_and_the_next_one_is_asked_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(measuring, "_PROGRAM", ("-c", f"{PROGRAM} pipe.send_bytes(b'ready'); pipe.recv_bytes()"))
    with Measurer(processes=2, here=0) as measurer:
        for _ in range(3):
            with pytest.raises(PhotoUnreadable, match="ends each time"):
                measurer.measure(WHOLE)
        monkeypatch.undo()
        assert measurer.measure(WHOLE) == measure(WHOLE)
