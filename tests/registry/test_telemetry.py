from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.telemetry import (
    COLUMNS,
    PARTITIONS,
    CallerClass,
    HourPartition,
    TelemetryPolicy,
    TelemetryPolicyInvalid,
    camera_of,
    partition_of,
)

POLICIES = st.builds(
    TelemetryPolicy,
    sample_percent=st.integers(0, 100),
    buffer_mb=st.integers(16, 4096),
    thumbnails=st.lists(st.sampled_from(["*", "gate", "pond-2"])).map(tuple),
    redact=st.lists(st.sampled_from(["id", "camera", "embedding"])).map(tuple),
)


@given(
    camera=st.one_of(st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True), st.sampled_from(CallerClass)),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    sequence=st.integers(1, 10**8 - 1),
)
def test_a_key_names_its_partition_and_the_partition_holds_the_moment(camera, at, sequence):
    partition = HourPartition.of("prod", camera, at)
    assert partition_of(partition.key("ip-10-30-0-12-0a1b2c3d", sequence)) == partition
    assert partition.hour <= at < partition.end


def test_no_camera_can_be_called_like_a_class_of_callers_and_no_name_leaves_its_directory():
    assert all(camera_of(each) is None for each in CallerClass)
    assert all(camera_of(each) is None for each in ("", "a/b", "..", "gate=1", "GATE", "a" * 64, "é"))
    assert camera_of("gate-2") == "gate-2"
    assert not any(camera_of(f"{hidden}gate") for hidden in "_.")


def test_other_keys_are_no_recorded_predictions():
    key = HourPartition.of("prod", "gate", datetime(2026, 8, 1, tzinfo=UTC)).key("i", 1)
    for wrong in (
        key.replace("v1", "v2"),
        key.replace("hour=00", "hour=24"),
        key + ".tmp",
        key.replace("08-01", "13-01"),
    ):
        assert partition_of(wrong) is None


@given(POLICIES)
def test_a_policy_survives_its_form_in_user_data(policy):
    assert TelemetryPolicy.from_dict(policy.to_dict()) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_percent": 101},
        {"sample_percent": True},
        {"buffer_mb": 15},
        {"thumbnails": ["Gate"]},
        {"thumbnails": "gate"},
        {"redact": ["label"]},
        {"more": 1},
    ],
)
def test_a_wrong_policy_is_refused_by_the_name_of_its_key(wrong):
    with pytest.raises(TelemetryPolicyInvalid, match=next(iter(wrong))):
        TelemetryPolicy.from_dict(TelemetryPolicy().to_dict() | wrong)


@given(st.integers(0, 100), st.text(max_size=20), st.integers(0, 63))
def test_who_is_in_a_smaller_sample_is_in_every_larger_one(percent, request_id, item):
    small, large = TelemetryPolicy(sample_percent=percent), TelemetryPolicy(sample_percent=min(100, percent + 10))
    assert large.samples(request_id, item) or not small.samples(request_id, item)


def test_the_sample_is_as_large_as_the_policy_says():
    policy = TelemetryPolicy(sample_percent=20)
    assert sum(policy.samples(f"{number}") for number in range(10_000)) == pytest.approx(2_000, abs=200)
    assert not TelemetryPolicy().samples("x")


def test_no_column_is_named_like_a_partition():
    names = [column.name for column in (*COLUMNS, *PARTITIONS)]
    assert len(names) == len(set(names))
    assert (
        timedelta(hours=1)
        == HourPartition.of("s", "c", datetime.now(UTC)).end - HourPartition.of("s", "c", datetime.now(UTC)).hour
    )


@pytest.mark.parametrize(
    ("percent", "least", "most"),
    [(0, 0, 0), (1, 5, 40), (50, 900, 1100), (99, 1950, 1995), (100, 2000, 2000)],
)
def test_about_the_stated_share_of_predictions_is_a_sample(percent, least, most):
    policy = TelemetryPolicy(sample_percent=percent)
    ids = [f"{number:032x}" for number in range(1000)]
    assert least <= sum(policy.samples(id_, item) for id_ in ids for item in (0, 1)) <= most
    assert [policy.samples(id_) for id_ in ids] == [policy.samples(id_, 0) for id_ in ids]
