"""What a study may spend."""

import pytest

from training.errors import SpecMalformed
from training.search.budget import Budget


def test_a_budget_is_the_lowest_of_its_limits_and_hours_count_at_the_lowest_price() -> None:
    assert Budget(max_hours=2, max_usd=3).usd(2.0) == 3
    assert Budget(max_hours=2, max_usd=3).usd(1.0) == 2
    assert Budget(max_hours=2).usd(0.5) == 1
    assert Budget().usd(1.0) == float("inf")


@pytest.mark.parametrize("limits", [{"max_usd": -3.0}, {"max_hours": 0.0}, {"max_hours": float("nan")}])
def test_a_budget_that_means_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(SpecMalformed):
        Budget(**limits)
