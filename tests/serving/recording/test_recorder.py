import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import imaging
from imaging import InputStatistics
from registry.errors import ObjectExists, StoreUnavailable
from registry.store.memory_store import MemoryStore
from registry.store.s3_uploads import PART_BYTES
from registry.telemetry import COLUMNS, TelemetryPolicy, partition_of
from serving.auth.api_key_auth import Caller
from serving.recording.recorder import CAMERAS
from tests.serving.recording.recorded import NOON, OutageStore, Recording, ids_of, rows_of

HOUR = 3600


def test_every_recorded_prediction_is_stored_once_with_all_columns_in_the_partition_of_its_hour():
    recording = Recording()
    recording.see(1)
    recording.now += HOUR
    recording.see(2, camera="pond")
    recording.flush()
    rows = rows_of(recording.store)
    assert [row["id"] for row in rows] == [f"{number:032x}" for number in (1, 2)]
    assert all(list(row)[1:] == [column.name for column in COLUMNS] for row in rows)
    for row, camera, hour in zip(rows, ("gate", "pond"), (12, 13), strict=True):
        partition = partition_of(row["key"])
        assert partition is not None
        assert (partition.stack, partition.camera, partition.hour.hour) == ("prod", camera, hour)
        assert partition.hour <= row["at"] < partition.end


def test_a_file_is_written_when_its_oldest_row_is_five_minutes_old_or_its_hour_is_over():
    recording = Recording()
    recording.see(1)
    recording.recorder.take()
    for seconds, files in ((299, 0), (1, 1)):
        recording.now += seconds
        recording.recorder.write()
        recording.upload_all()
        assert len(list(recording.store.keys("telemetry/"))) == files
    recording.now = NOON + HOUR - 1
    recording.see(2)
    recording.recorder.take()
    for seconds, files in ((10, 1), (1, 2)):
        recording.now += seconds
        recording.recorder.write()
        recording.upload_all()
        assert len(list(recording.store.keys("telemetry/"))) == files


def test_an_hour_at_100_answers_a_second_stays_within_its_bound_and_an_outage_of_ten_minutes_costs_what_does_not_fit(
    monkeypatch,
):
    """All 360,000 are recorded, with embeddings of 256 numbers, by the recorder's own steps on a simulated clock.

    Uploads are repeated as the thread does, so the first after the outage may come a minute late. Statistics of photos
    are left out: they hold no memory.
    """
    grey = InputStatistics(brightness=0, contrast=0, sharpness=0, chroma=0, width=64, height=48)
    monkeypatch.setattr(imaging, "input_statistics", lambda _, **__: grey)
    monkeypatch.setattr(imaging, "photo_size", lambda *_, **__: (64, 48))
    store = OutageStore()
    recording = Recording(TelemetryPolicy(sample_percent=100, buffer_mb=16), store=store)
    recorder, most, next_upload, lost_by_minute = recording.recorder, 0, 0.0, [0.0]
    for second in range(HOUR):
        store.away = 1200 <= second < 1800
        for number in range(second * 100, second * 100 + 100):
            recording.see(number, camera=("gate", "pond")[number % 2], dimensions=256)
        most = max(most, recorder.held)
        recorder.take()
        recorder.write()
        most = max(most, recorder.held)
        if second >= next_upload:
            while (wait := recorder.upload()) == 0.0:
                pass
            next_upload = second + (wait or 1.0)
        recording.now += 1
        if second % 60 == 59:
            lost_by_minute.append(recording.count("lost", reason="memory"))
    recording.flush()

    assert most <= recorder.limit < 16_000_000
    lost, uploaded = recording.count("lost", reason="memory"), recording.count("uploaded")
    assert lost + uploaded == 360_000
    assert uploaded == recording.count("recorded") == len(set(ids_of(store)))
    assert recorder.held == 0
    assert lost_by_minute[20] == 0, "nothing is lost while the store answers"
    assert lost_by_minute[31] == lost, "and nothing from a minute after it answers again"
    stored = sum(len(store.get(key)) for key in store.keys("telemetry/")) / uploaded
    kept = 660 * 100 - lost  # of those in the outage and the minute after it
    # Files have all of the bound but for what queue and open rows of two cameras take, an eighth of 16 MB each.
    assert (recorder.limit - 3 * 2_000_000) / stored <= kept <= 60 * 100 + recorder.limit / stored
    assert lost > 30_000, "or the bound was never met"


def test_nothing_is_lost_in_an_outage_that_fits():
    store = OutageStore()
    recording = Recording(store=store)
    store.away = True
    for second in range(600):
        recording.see(second)
        recording.recorder.take()
        recording.recorder.write()
        recording.recorder.upload()
        recording.now += 1
    store.away = False
    recording.flush()
    assert len(rows_of(store)) == 600
    assert recording.count("lost", reason="memory") == 0
    assert recording.count("upload_failures", outcome="StoreUnavailable") > 0


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("see"), st.integers(1, 40), st.integers(1, 40_000)),
            st.tuples(st.sampled_from(["take", "write", "upload", "away", "back"]), st.just(0), st.just(0)),
            st.tuples(st.just("wait"), st.integers(1, 4000), st.just(0)),
        ),
        max_size=40,
    )
)
def test_whatever_happens_memory_stays_within_the_bound_and_every_prediction_is_stored_or_counted_as_lost(steps):
    store = OutageStore()
    recording = Recording(store=store)
    recorder, seen = recording.recorder, 0
    for step, amount, dimensions in steps:
        match step:
            case "see":
                for _ in range(amount):
                    seen += 1
                    recording.see(seen, camera=f"camera-{seen % 3}", dimensions=dimensions)
            case "take":
                recorder.take()
            case "write":
                recorder.write()
            case "upload":
                recorder.upload()
            case "wait":
                recording.now += amount
            case _:
                store.away = step == "away"
        assert 0 <= recorder.held <= 16_000_000
    store.away = False
    recording.flush()
    ids = ids_of(store)
    assert len(ids) == len(set(ids))
    assert len(ids) + recording.count("lost", reason="memory") == seen
    assert recorder.held == 0


@pytest.mark.parametrize("buffer_mb", [16, 4096])
def test_no_file_is_so_large_that_it_would_be_uploaded_in_parts_which_the_endpoint_may_not(buffer_mb):
    recording = Recording(TelemetryPolicy(sample_percent=100, buffer_mb=buffer_mb))
    for number in range(60):
        recording.see(number, dimensions=100_000)
        recording.recorder.take()
    recording.flush()
    sizes = [len(recording.store.get(key)) for key in recording.store.keys("telemetry/")]
    assert len(sizes) > 1
    assert max(sizes) <= PART_BYTES


def test_what_it_says_that_it_holds_is_at_least_what_it_holds():
    recording = Recording(TelemetryPolicy(sample_percent=100, buffer_mb=64))
    recorder = recording.recorder
    recording.see(0, dimensions=1280)
    recorder.take()  # what is made once is there
    tracemalloc.start()
    try:
        held = recorder.held
        for number in range(500):
            recording.see(number, dimensions=1280)
        seen, message = tracemalloc.get_traced_memory()[0], recorder.held - held
        assert seen <= message
        recorder.take()
        rows, message = tracemalloc.get_traced_memory()[0], recorder.held - held
        assert rows <= message
    finally:
        tracemalloc.stop()


def test_a_lost_response_does_not_store_a_file_twice():
    class Forgetful(MemoryStore):
        lost = 1

        def create(self, key: str, body: bytes) -> None:
            super().create(key, body)
            if self.lost:
                self.lost -= 1
                raise StoreUnavailable(f"write {key}", "the connection broke")

    recording = Recording(store=Forgetful())
    recording.see(1)
    recording.flush()
    assert recording.recorder.waiting_files == 1
    recording.upload_all()
    assert recording.recorder.waiting_files == 0
    assert len(rows_of(recording.store)) == recording.count("uploaded") == 1


def test_two_processes_of_one_machine_write_different_keys():
    store = MemoryStore()
    for _ in range(2):
        recording = Recording(store=store)
        recording.see(1)
        recording.flush()
    assert len(list(store.keys("telemetry/"))) == 2
    with pytest.raises(ObjectExists):
        store.create(next(iter(store.keys("telemetry/"))), b"")


def test_a_photo_that_cannot_be_measured_is_counted_and_the_next_one_recorded():
    recording = Recording()
    recording.see(1, photo=b"no photo")
    with pytest.raises(Exception, match="picture"):
        recording.recorder.take()
    recording.see(2)
    recording.flush()
    assert [row["id"] for row in rows_of(recording.store)] == [f"{2:032x}"]
    assert recording.count("lost", reason="unreadable") == 1
    assert recording.recorder.held == 0


def test_an_instance_keeps_a_limited_number_of_cameras_apart():
    recorder = Recording().recorder
    caller = Caller(key=None)
    assert {recorder.camera(f"camera-{number}", caller) for number in range(CAMERAS + 5)} == {
        *(f"camera-{number}" for number in range(CAMERAS)),
        "caller.other",
    }
    assert recorder.camera("camera-0", caller) == "camera-0"
    assert recorder.camera("../etc", caller) == recorder.camera(None, caller) == "caller.open"


def test_what_waits_is_stored_at_the_end_and_the_rest_is_counted():
    for away in (False, True):
        store = OutageStore()
        store.away = away
        recording = Recording(store=store)
        recording.see(1)
        stop = threading.Event()
        thread = threading.Thread(target=recording.recorder.run, args=(stop,))
        thread.start()
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert recording.count("uploaded") == (not away)
        assert recording.count("lost", reason="shutdown") == away
