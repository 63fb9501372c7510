"""The API's endpoint that erases events."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth.bearer import requires
from ..auth.keys import Grant
from ..config import ERASED_EVENTS
from ..events import erasure
from ..events.erasure import TooManyEvents
from ..queries.selection import Selection
from ..storage.reader import ReadLimits
from .fields import FlagField
from .parameters import InvalidParameters, TracedParameters, describe, load, select
from .reading import read_in_slot, read_query, send_object

_NO_FILTER = (
    "Must have a filter, such as `trace_id` or `data.user_id`. To delete all events before a day, "
    "use the command `bytelog prune`."
)
_TOO_MANY = (
    f"Must match at most {ERASED_EVENTS} events. For more, use the command `bytelog erase`, or a "
    "window."
)

blueprint = Blueprint("erasure", __name__, url_prefix="/api/v1/events")


class MatchParameters(TracedParameters):
    """The parameters that select the events to erase."""


class ErasureParameters(MatchParameters):
    """The parameters of a request that erases events."""

    dry_run = FlagField(
        load_default=False,
        metadata=describe("Only count the events, and delete nothing.", default=False),
    )


matching = MatchParameters()
erasing = ErasureParameters()


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.delete("")
@requires("delete")
def erase_events(grant: Grant) -> Response:
    """Delete the events that match the query, or count them."""
    selection, is_dry_run = load_erasure(read_query(), grant)
    if is_dry_run:
        count = partial(erasure.count, selection)
        return send_object({"count": read_in_slot(count, grant.project_id)})
    return send_object(read_in_slot(partial(_erase, selection), grant.project_id))


def load_erasure(query: Mapping[str, list[str]], grant: Grant) -> tuple[Selection, bool]:
    """Return which events to erase, and whether they are only counted.

    Raises InvalidParameters naming each bad one, or if no filter is among them.
    """
    plain = load(erasing, query)
    is_dry_run = plain.pop("dry_run")
    return _select(plain, grant), is_dry_run


def load_matching(query: Mapping[str, list[str]], grant: Grant) -> Selection:
    """Return which events to erase; raises InvalidParameters as `load_erasure` does."""
    return _select(load(matching, query), grant)


def _select(plain: Mapping[str, Any], grant: Grant) -> Selection:
    if not plain["filters"]:
        raise InvalidParameters({"*": [_NO_FILTER]})
    return select(plain, grant)


def _erase(selection: Selection, limits: ReadLimits) -> dict[str, object]:
    try:
        deleted = sum(erasure.erase(selection, limits, ERASED_EVENTS))
    except TooManyEvents as error:
        raise InvalidParameters({"*": [_TOO_MANY]}) from error
    state = erasure.empty_log()
    return {"deleted": deleted, **({"log": state} if state else {})}
