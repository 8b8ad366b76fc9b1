from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pytest

from monitoring.predictions import PredictionsUnreadable, cameras, each_recorded, find, read
from registry.store.memory_store import MemoryStore
from registry.telemetry import TelemetryPolicy, stack_prefix
from tests.serving.recording.recorded import NOON, Recording

START = datetime.fromtimestamp(NOON, UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def recording() -> Recording:
    """Ten predictions in each of three hours at two cameras."""
    recording = Recording()
    for hour in range(3):
        for number in range(10):
            recording.now = NOON + hour * 3600 + number * 60
            for camera in ("gate", "pond"):
                recording.see(1000 * hour + number, camera=camera)
        recording.flush()
    return recording


def test_what_is_read_is_what_was_recorded_at_the_camera_in_the_time(recording):
    (found,) = read(recording.store, "prod", "gate", start=START + HOUR / 2, end=START + 2 * HOUR)
    assert (found.version, found.labels, len(found)) == (3, ("cat", "dog"), 10)
    assert found.seconds.tolist() == [NOON + 3600 + number * 60 for number in range(10)]
    assert found.ids == tuple(f"{1000 + number:032x}" for number in range(10))
    assert found.probabilities.tolist() == [[0.75, 0.25]] * 10
    assert found.statistics.shape == (10, 6)
    assert found.statistics[0, -2:].tolist() == [64, 48]
    assert found.embedding is not None
    assert found.embedding.shape == (10, 8)
    assert found.strangeness is None
    assert read(recording.store, "prod", "lake", start=START, end=START + HOUR) == []


def test_embeddings_that_were_redacted_are_none():
    recording = Recording(TelemetryPolicy(sample_percent=100, redact=("embedding",)))
    recording.see(1)
    recording.flush()
    (found,) = read(recording.store, "prod", "gate", start=START, end=START + HOUR)
    assert found.embedding is None


def test_a_prediction_is_found_by_its_id_at_any_camera(recording):
    wanted = f"{1003:032x}"
    rows = find(recording.store, "prod", wanted, start=START, end=START + 24 * HOUR)
    assert [(row["id"], row["camera"]) for row in rows] == [(wanted, "gate"), (wanted, "pond")]
    assert not find(recording.store, "prod", wanted, start=START, end=START + HOUR)
    assert not find(recording.store, "prod", "f" * 32, start=START, end=START + 24 * HOUR)


def test_the_cameras_are_listed_without_their_files(recording):
    assert cameras(recording.store, "prod") == ["gate", "pond"]
    assert cameras(recording.store, "test") == []


def test_an_object_that_is_no_file_of_predictions_is_named():
    recording = Recording()
    recording.see(1)
    recording.flush()
    (key,) = recording.store.keys(stack_prefix("prod"))
    broken = MemoryStore()
    broken.create(key, b"PAR1 but no more")
    with pytest.raises(PredictionsUnreadable, match=key):
        read(broken, "prod", "gate", start=START, end=START + HOUR)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "NULL::timestamptz"),
        ("at", '"at"::timestamp'),
        ("labels", "['cat']"),
        ("labels", "CASE WHEN hash(id) % 2 = 0 THEN labels ELSE ['cat', 'bird'] END"),
        ("probabilities", "[0.5::float, 'nan'::float]"),
        ("brightness", "'inf'::float"),
        ("version", "'three'"),
        ("version", "version + hash(id) % 2"),
        ("embedding", "'odd'::blob"),
        ("embedding", "'\\xFF\\x7F'::blob"),
        ("embedding", "CASE WHEN hash(id) % 2 = 0 THEN embedding ELSE embedding || embedding END"),
        ("digest", ""),
    ],
)
def test_a_row_of_another_form_is_told_and_never_compared(recording, tmp_path, column, value):
    key, other = next(recording.store.keys(stack_prefix("prod"))), MemoryStore()
    before, after = tmp_path / "before.parquet", tmp_path / "after.parquet"
    before.write_bytes(recording.store.get(key))
    change = f'EXCLUDE ("{column}")' if not value else f'REPLACE ({value} AS "{column}")'
    duckdb.sql(f"COPY (SELECT * {change} FROM '{before}') TO '{after}' (FORMAT parquet)")  # noqa: S608 - our own words
    other.create(key, after.read_bytes())
    with pytest.raises(PredictionsUnreadable, match=column):
        read(other, "prod", "gate", start=START, end=START + HOUR)


def test_duckdb_reads_the_files_with_the_partitions_of_their_keys(recording, tmp_path):
    """As docs/design/telemetry.md shows it."""
    for key in recording.store.keys(stack_prefix("prod")):
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording.store.get(key))
    query = (
        "SELECT camera, hour::int, count(*), avg(probabilities[1]), min(octet_length(embedding)) "
        "FROM read_parquet(?, hive_partitioning = true) WHERE stack = 'prod' GROUP BY ALL ORDER BY ALL"
    )
    rows = duckdb.connect().execute(query, [f"{tmp_path}/telemetry/v1/**/*.parquet"]).fetchall()
    assert [row[:3] for row in rows] == [(camera, hour, 10) for camera in ("gate", "pond") for hour in (12, 13, 14)]
    assert np.array([row[3:] for row in rows]).tolist() == [[0.75, 16]] * 6


def test_each_recorded_prediction_of_the_time_is_told_with_its_place(recording):
    found = list(each_recorded(recording.store, "prod", "pond", start=START + HOUR, end=START + 2 * HOUR))
    assert [each.id for each in found] == [f"{1000 + number:032x}" for number in range(10)]
    assert [each.row for each in found] == list(range(10))
    first = found[0]
    assert first.key in set(recording.store.keys("telemetry/"))
    assert (first.camera, first.item, first.at, first.version) == ("pond", 0, START + HOUR, 3)
    assert (first.digest, first.label, first.labels) == (f"sha256:{'0' * 64}", "cat", ("cat", "dog"))
    assert (first.confidence, first.has_thumbnail) == (0.75, False)
    some = each_recorded(recording.store, "prod", "pond", start=START + HOUR * 1.05, end=START + HOUR * 1.1)
    assert [each.id for each in some] == [f"{1000 + number:032x}" for number in range(3, 6)]
