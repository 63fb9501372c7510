"""The query parameters of summaries and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, fields, validates

from ..auth.keys import Grant
from ..config import MAX_DIMENSIONS
from ..queries.buckets import Buckets, UTCBuckets, ZoneBuckets
from ..queries.grouping import Dimension, Grouping
from ..queries.selection import Bucket, Selection
from .fields import EnumField, RepeatableField
from .members import PATH_PATTERN, MemberField, parse_path
from .parameters import TracedParameters, describe, load, select


class DimensionField(fields.Field[Dimension]):
    """`name`, or the path of a member of `data`."""

    json_schema: ClassVar = {"type": "string", "pattern": f"^name$|{PATH_PATTERN}"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Dimension:
        return Dimension(value, () if value == "name" else parse_path(value)[1:])


class SummaryParameters(TracedParameters):
    """The parameters of a summary."""

    bucket = EnumField(
        Bucket,
        metadata=describe(
            "The length of the buckets of time. If it is absent: `day`, or no buckets with `by` or "
            "`sum`."
        ),
    )
    by = RepeatableField(
        DimensionField(),
        MAX_DIMENSIONS,
        metadata=describe(
            "`name`, or a member such as `data.plan`, by whose values events are counted; "
            "repeated, by each pair of values.",
            uniqueItems=True,
        ),
    )
    sum = MemberField(
        metadata=describe(
            "A member such as `data.amount`: the sum of its numbers, their bounds, and their "
            "average."
        )
    )

    @validates("by")
    def check_dimensions(self, by: tuple[Dimension, ...], **_: Any) -> None:
        """Raise ValidationError if a member is given twice."""
        if len({dimension.path for dimension in by}) < len(by):
            raise ValidationError("Must be different members.")


class NamesParameters(TracedParameters):
    """The parameters of a request for names."""


summary = SummaryParameters()
names = NamesParameters()


def load_summary(
    query: Mapping[str, list[str]], grant: Grant
) -> tuple[Selection, Buckets | Grouping]:
    """Return the selection of a summary, and the buckets or the grouping.

    Raises InvalidParameters naming each bad one.
    """
    plain = load(summary, query)
    bucket, by, added = (plain.pop(name, None) for name in ("bucket", "by", "sum"))
    zone = plain.get("tz")
    selection = select(plain, grant)
    if not by and not added:
        return selection, _create_buckets(bucket or Bucket.DAY, zone)
    buckets = _create_buckets(bucket, zone) if bucket else Buckets()
    return selection, Grouping(buckets, by or (), (added or ())[1:])


def _create_buckets(bucket: Bucket, zone: ZoneInfo | None) -> Buckets:
    return ZoneBuckets(bucket, zone) if zone else UTCBuckets(bucket)
