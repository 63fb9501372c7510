from __future__ import annotations

import pytest

from bytelog.events.i_json import ObjectText, decode_array, decode_object


@pytest.mark.parametrize("other", ['{"data": {"b": 2}}', '[{"data": {}}]'])
def test_data_is_the_member_of_the_event_and_not_of_a_nested_object(other: str) -> None:
    text = '{"other": %s, "data": {"a": 1}, "id": 5}' % other  # noqa: UP031
    assert decode_object(text)["data"] == ObjectText('{"a":1}')
    assert list(decode_array(f"[{text}]")) == [text]
