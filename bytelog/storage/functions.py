"""SQL functions whose text in each database is written from the text of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Write = Callable[..., str]


class Function(FunctionElement[Any]):
    """A function of SQL, or an expression that is used like one."""

    inherit_cache = False


def writes(dialect: str, function: type[Function]) -> Callable[[Write], Write]:
    """Let the decorated function return the text of a function in a database."""

    def register(write: Write) -> Write:
        def compile_(element: Function, compiler: SQLCompiler, **options: Any) -> str:
            return write(*(compiler.process(clause, **options) for clause in element.clauses))

        compiles(function, dialect)(compile_)
        return write

    return register
