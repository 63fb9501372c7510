"""The API's endpoints for summaries and names."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth.bearer import requires
from ..auth.keys import Grant
from ..events import store
from ..queries.buckets import Buckets
from ..queries.formats import CSV, CSV_WITH_MARK, JSON, Format
from ..queries.grouping import Grouping, Groups
from ..queries.selection import Selection
from .parameters import load_selection
from .reading import choose_format, read_groups, read_query, send_object
from .summary_parameters import load_summary, names
from .tables import list_cells, write_groups, write_table

blueprint = Blueprint("summaries", __name__, url_prefix="/api/v1/events")


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/summary")
@requires("read")
def summarize(grant: Grant) -> Response:
    """Count the events that match the query, by name and bucket, or in groups."""
    selection, grouping = load_summary(read_query(), grant)
    format_ = choose_format((JSON.media_type, CSV.media_type))
    if isinstance(grouping, Grouping):
        response = _send_groups(selection, grouping, format_)
    else:
        response = _send_summary(selection, grouping, format_)
    response.vary.add("Accept")
    return response


@blueprint.get("/names")
@requires("read")
def list_names(grant: Grant) -> Response:
    """Send the names of the events that match the query, and the members of their `data`."""
    selection = load_selection(names, read_query(), grant)
    list_ = partial(store.list_names, selection)
    return send_object(read_groups(list_, grant.project_id, "start", "use a shorter window"))


def _send_summary(selection: Selection, buckets: Buckets, format_: Format) -> Response:
    count = partial(store.count, selection, buckets)
    advice = "use a longer one, or a shorter window"
    summary = read_groups(count, selection.project_id, "bucket", advice)
    return send_object(summary) if format_ is JSON else _send_table(list_cells(summary), format_)


def _send_groups(selection: Selection, grouping: Grouping, format_: Format) -> Response:
    count = partial(store.count_groups, selection, grouping)
    parameter = "by" if grouping.by else "bucket"
    advice = "use a member with fewer values, a longer bucket, or a shorter window"
    groups = read_groups(count, selection.project_id, parameter, advice)
    if format_ is JSON:
        return Response(write_groups(groups), mimetype=JSON.media_type)
    return _send_table(groups, format_)


def _send_table(groups: Groups, format_: Format) -> Response:
    mark = "\ufeff" if format_ is CSV_WITH_MARK else ""
    return Response(mark + write_table(groups), mimetype=CSV.media_type)
