import pytest

from serving.problems import BAD_REQUEST, INTERNAL, KINDS, Kind, of_status


@pytest.mark.parametrize(("status", "kind"), [(418, BAD_REQUEST), (499, BAD_REQUEST), (507, INTERNAL), (500, INTERNAL)])
def test_a_status_without_a_kind_of_its_own_is_the_callers_fault_below_500_and_ours_above(status: int, kind: Kind):
    assert of_status(status) is kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_found_by_its_status(kind: Kind):
    assert of_status(kind.status).status == kind.status
