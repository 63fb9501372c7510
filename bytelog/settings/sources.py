"""Where settings come from: `config.py` in the data folder, the environment, and a mapping."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..config import SECRETS, SetupError
from .values import trim

PREFIX = "BYTELOG_"

# Kubernetes describes a service named bytelog to every container in these variables, and in
# BYTELOG_PORT, whose value is then a URL.
_SERVICE_LINK = re.compile(r"BYTELOG_(SERVICE_\w+|PORT_\d+_\w+)=|BYTELOG_PORT=\w+://")


class Source(NamedTuple):
    """A place that has settings, and the values that it has, also those of Flask."""

    name: str
    values: Mapping[str, Any]


def data_folder(config: Mapping[str, Any], instance_path: str | os.PathLike[str] | None) -> Path:
    """Return the real path of the data folder: the argument, the setting, or `./instance/`."""
    setting = config.get("BYTELOG_DATA") or os.environ.get("BYTELOG_DATA")
    folder = instance_path or trim(setting)
    # Without links: one that later points elsewhere must not move half of what is in use.
    return Path(os.path.realpath(folder or "instance"))


def list_sources(folder: Path, config: Mapping[str, Any]) -> Sequence[Source]:
    """Return all sources of settings, those that take precedence last; raises SetupError."""
    file = folder / "config.py"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and value and not _SERVICE_LINK.match(f"{name}={value}")
    }
    return (
        Source(str(file), _run_file(file)),
        Source("environment", environment),
        Source("create_app", config),
    )


def find_origin(source: Source, name: str) -> Source | None:
    """Return the source that has a setting: this one, a file that it names, or None.

    Raises SetupError if it has both, or the file cannot be read.
    """
    file = f"{name}_FILE" if name in SECRETS else ""
    path = trim(source.values.get(file))
    if path is None:
        return source if name in source.values else None
    if source.values.get(name):
        raise SetupError(f"{name} and {file} are both set ({source.name}). Unset one of them.")
    return Source(f"file {path}", {name: _read_secret(name, str(path))})


def _read_secret(name: str, path: str) -> str:
    try:
        secret = trim(Path(path).read_text())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SetupError(
            f"{name}_FILE names {path}, which cannot be read: {reason}. Correct the path, or let "
            "the user that runs bytelog read the file."
        ) from error
    if secret is None:
        raise SetupError(f"{name}_FILE names {path}, which is empty. Write the value into it.")
    return str(secret)


def _run_file(path: Path) -> dict[str, Any]:
    """Run the file, unless another user could have written it: commands may start in any folder."""
    module = ModuleType("config")
    module.__file__ = str(path)
    try:
        with path.open("rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except SetupError:
        raise
    except Exception as error:
        raise SetupError(
            f"the settings in {path} cannot be read: {error}. Fix the file."
        ) from error
    return {name: value for name, value in vars(module).items() if name.isupper()}


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise SetupError(
            f"{path} belongs to another user (uid {status.st_uid}), and bytelog does not run the "
            "code of others. Run bytelog as that user, or change the owner of the file."
        )
    if status.st_mode & stat.S_IWOTH:
        raise SetupError(
            f"every user may write {path}, and bytelog does not run the code of others. Change its "
            "permissions with chmod o-w."
        )
