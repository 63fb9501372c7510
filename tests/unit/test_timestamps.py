from __future__ import annotations

import pytest
from support.dates import REFUSED, UNDERSTOOD

from bytelog import timestamps


@pytest.mark.parametrize(("written", "meant"), UNDERSTOOD)
def test_iso_8601_is_accepted(written: str, meant: str) -> None:
    assert timestamps.format_utc(timestamps.parse(written)) == meant


@pytest.mark.parametrize("written", REFUSED)
def test_anything_else_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        timestamps.parse(written)
