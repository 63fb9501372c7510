from __future__ import annotations

import random
from array import array
from statistics import median

import pytest

from bytelog.queries.medians import double_median


@pytest.mark.parametrize("sorted_at_once", [1, 3, 100])
def test_the_median_of_parts_is_that_of_all(
    sorted_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.queries.medians.SORTED_AT_ONCE", sorted_at_once)
    random_numbers = random.Random(1)
    for count in range(1, 12):
        numbers = array("q", random_numbers.choices(range(9), k=count))
        assert double_median(numbers) == 2 * median(numbers)
