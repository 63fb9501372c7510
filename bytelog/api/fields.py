"""The types of query parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, fields

from ..config import MAX_FILTER_VALUES
from ..events.schemas import INTEGER
from ..queries.selection import Filter, Operator
from ..storage.numbers import parse_number
from .cursors import CURSOR_PATTERN

C = TypeVar("C", bound=StrEnum)


class IntegerField(fields.Field[int]):
    """An integer within bounds, in decimal digits."""

    def __init__(self, lowest: int, highest: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._bounds = lowest, highest
        self.json_schema = {"type": "integer", "minimum": lowest, "maximum": highest}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        lowest, highest = self._bounds
        number = int(value) if INTEGER.fullmatch(value) else None
        if number is None or not lowest <= number <= highest:
            raise ValidationError(f"Must be a whole number from {lowest} to {highest}.")
        return number


class CursorField(fields.Field[str]):
    """The text of a cursor from a `Link` header, or `end`."""

    json_schema: ClassVar = {"type": "string", "pattern": CURSOR_PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not re.fullmatch(CURSOR_PATTERN, value):
            raise ValidationError("Must be a cursor: copy it from a `Link` header.")
        return str(value)


class EnumField(fields.Field[C]):
    """One of a fixed set of names."""

    def __init__(self, choices: type[C], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._choices = choices
        self.json_schema = {"type": "string", "enum": list(choices)}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> C:
        try:
            return self._choices(value)
        except ValueError as error:
            raise ValidationError(f"Must be one of {', '.join(self._choices)}.") from error


class FlagField(fields.Field[bool]):
    """`true` or `false`."""

    json_schema: ClassVar = {"type": "boolean"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if value not in ("true", "false"):
            raise ValidationError("Must be true or false.")
        return bool(value == "true")


class ZoneField(fields.Field[ZoneInfo]):
    """The name of a time zone in the IANA database."""

    json_schema: ClassVar = {"type": "string", "pattern": r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> ZoneInfo:
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValidationError("Must be a time zone such as Europe/Berlin.") from error


class NumberField(fields.Field[str]):
    """A JSON number, loaded as its text."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if parse_number(value) is None:
            raise ValidationError("Must be a number such as 12.5.")
        return str(value)


class RepeatableField(fields.Field[Sequence[Any]]):
    """A parameter that may be given several times."""

    def __init__(self, item: fields.Field[Any], most: int, least: int = 1, **rest: Any) -> None:
        super().__init__(**rest)
        self._item, self._bounds = item, (least, most)
        items = getattr(item, "json_schema", {"type": "string"})
        self.json_schema = {"type": "array", "items": items, "minItems": least, "maxItems": most}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Sequence[Any]:
        least, most = self._bounds
        if not least <= len(value) <= most:
            times = f"{least} to {most} times" if least > 1 else f"{most} times at most"
            raise ValidationError(f"Must be given {times}.")
        return tuple(self._item.deserialize(text) for text in value)


class FilterField(RepeatableField):
    """The values that a field of an event may have, or what else an operator requires of it."""

    def __init__(
        self,
        item: fields.Field[Any],
        name: str,
        operator: Operator = Operator.EQUAL,
        most: int = MAX_FILTER_VALUES,
        **rest: Any,
    ) -> None:
        parameter = f"{name}[{operator}]" if operator else name
        super().__init__(item, most, data_key=parameter, **rest)
        self._name, self._operator = name, operator

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return Filter((self._name,), self._operator, tuple(super()._deserialize(value)))


class SearchField(fields.Field[Filter]):
    """A text that an event contains."""

    def __init__(self, item: fields.Field[str], **rest: Any) -> None:
        super().__init__(**rest)
        self._item = item
        self.json_schema = item.json_schema  # type: ignore[attr-defined]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Filter:
        return Filter(("*",), Operator.CONTAINS, (self._item.deserialize(value),))
