"""Deleting the events that a server no longer keeps, and returning their space to the disk."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from shlex import quote
from typing import Any

from flask import Flask
from sqlalchemy import Row, select, update

from .. import timestamps
from ..events.keep_rules import OTHERS, DaysByName, KeepRules
from ..storage.database import backend_of, close_readers, db, fetch
from ..storage.errors import StorageError
from ..storage.file_space import FileSpace
from ..storage.models import Project
from ..storage.steps import STEP_SECONDS, Pause, run_in_steps
from ..storage.writer import current_writer
from .expiry import Expired, Scope, find_expired, list_scopes, prune

PRUNE_INTERVAL_SECONDS = 600
"""How often a server deletes the events that it no longer keeps: few at a time."""

SEARCHED_AGAIN = timedelta(days=1)
"""How far before the last bound events are searched: an import may have begun before that."""

CHECKPOINT_TRIES = 20
"""Attempts to empty the log while short readers prevent it."""

log = logging.getLogger("bytelog")


def shrink(space: FileSpace, pause: Pause = time.sleep) -> Iterator[int]:
    """Release the free pages of a file that can shrink to the disk; raises StorageError.

    Yields the number of released pages after each transaction.
    """
    yield from run_in_steps(lambda: space.release_page, pause)
    for _ in range(CHECKPOINT_TRIES):
        with current_writer().exclusive_connection() as connection:
            if space.empty_log(connection):
                return
        pause(STEP_SECONDS)


def rewrite(space: FileSpace) -> None:
    """Convert a file that cannot shrink; raises StorageBusy if another process has it open.

    Takes as long as writing the whole file. Afterwards the application cannot use its database.
    """
    current_writer().close()
    close_readers()
    space.rewrite()


@contextmanager
def run_in_background(app: Flask) -> Iterator[None]:
    """Delete the events that the rules of BYTELOG_KEEP expire, at intervals, during the block."""
    rules = app.extensions["bytelog.keep_rules"]
    if not rules:
        yield
        return
    stopping = threading.Event()
    thread = threading.Thread(target=Retention(app, rules, stopping).run, name="retention")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


class Retention:
    """A server's deletion of the events that the rules of BYTELOG_KEEP expire.

    A clock that is ahead must not delete everything, but a rule that the operator has shortened
    may delete most of the events. So each project has a note of the rules that were applied to it
    last. Where such a rule kept events for longer than the present one, the former decides whether
    the deletion is doubtful: if the clock is ahead, most events are old by the former rule, too.
    """

    def __init__(self, app: Flask, rules: KeepRules, stopping: threading.Event) -> None:
        self._app = app
        self._rules = rules
        self._stopping = stopping
        # The bounds of the last deletions of events by name, which an index does not find.
        self._bounds: dict[Scope, datetime] = {}

    def run(self) -> None:
        """Delete expired events at intervals until the server stops."""
        with self._app.app_context():
            while not self._stopping.is_set():
                try:
                    self._prune()
                except StorageError as error:
                    log.error("old events were not deleted; bytelog will try again: %s", error)
                self._stopping.wait(PRUNE_INTERVAL_SECONDS)

    def _prune(self) -> None:
        projects = fetch(db.engine, select(Project))
        expired = {project: list(self._find_expired(project)) for project in projects}
        groups = [group for groups in expired.values() for group in groups]
        due = [group for group in groups if group]
        longest = self._rules.longest if len(due) == len(groups) else None
        whole_days = timestamps.days_ago(longest) if longest else None
        deleted = 0
        for events in prune(due, whole_days, self._stopping.wait):
            deleted += events
            if self._stopping.is_set():
                break
        else:
            self._bounds |= {group.scope: group.before for group in due}
            self._note_rules([row for row, groups in expired.items() if None not in groups])
        if deleted:
            before = timestamps.format_utc(max(group.before for group in due))
            log.info("deleted %d events from before %s", deleted, before)
            self._shrink()

    def _find_expired(self, project: Row[Any]) -> Iterator[Expired | None]:
        """Yield what each rule expires in a project, or None where that is doubtful."""
        noted: DaysByName = json.loads(project.applied_rules or "{}")
        for scope, days in list_scopes(self._rules, project):
            bound = None if scope.is_whole else self._bounds.get(scope)
            since = bound - SEARCHED_AGAIN if bound else None
            expired = find_expired(scope, timestamps.days_ago(days), since)
            longest = max([days, *_find_noted(noted, scope)])
            judged = expired
            if longest > days:
                judged = find_expired(scope, timestamps.days_ago(longest))
            if judged.is_doubtful(longest):
                _warn(expired)
                yield None
            else:
                yield expired

    def _note_rules(self, projects: list[Row[Any]]) -> None:
        for project in projects:
            rules = json.dumps(self._rules.find(project.name), sort_keys=True)
            if rules != (project.applied_rules or "{}"):
                with current_writer().transaction() as connection:
                    statement = update(Project).where(Project.id == project.id)
                    connection.execute(statement.values(applied_rules=rules))

    def _shrink(self) -> None:
        space = backend_of(db.engine).maintenance.file_space()
        if space and space.can_shrink():
            for _ in shrink(space, self._stopping.wait):
                if self._stopping.is_set():
                    return


def _find_noted(noted: DaysByName, scope: Scope) -> Iterator[int]:
    """Yield for how long noted rules kept events of a scope, if they did not keep all forever."""
    if scope.name is None:
        yield from (days for name, days in noted.items() if scope.has(name))
    elif days := noted.get(scope.name, noted.get(OTHERS)):
        yield days


def _warn(expired: Expired) -> None:
    scope = expired.scope
    options = f"--project {quote(scope.project)}"
    if scope.name is not None:
        options += f" --name {quote(scope.name)}"
    log.warning(
        "%d events of project %s from before %s were not deleted: these are most of its events, or "
        "the clock is ahead. If it is right: bytelog prune %s --yes",
        *(expired.events, scope.describe(), timestamps.format_utc(expired.before), options),
    )
