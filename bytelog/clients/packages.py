"""The clients as packages for pip and npm, built from the files that a server offers.

The same version always has the same bytes, because lock files contain their digests: the archives
have no dates, and are not compressed, which depends on the version of zlib.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "bytelog-client"
SUMMARY = "The client of bytelog, a service that records business events."
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can express


def name_wheel() -> str:
    """Return the file name of the package for pip."""
    return f"bytelog_client-{_version()}-py3-none-any.whl"


def name_tarball() -> str:
    """Return the file name of the package for npm."""
    return f"bytelog-client-{_version()}.tgz"


@cache
def build_wheel() -> bytes:
    """Return a wheel of the client for Python (binary distribution format, PyPA)."""
    information = f"bytelog_client-{_version()}.dist-info"
    files = {
        # A package and not a module: PEP 561 has a marker of types for packages alone.
        "bytelog_client/__init__.py": _read("bytelog_client.py"),
        "bytelog_client/py.typed": b"",
        f"{information}/METADATA": _describe_wheel().encode(),
        f"{information}/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: bytelog\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(_format_record(path, content) for path, content in files.items())
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for path, content in files.items():
            member = zipfile.ZipInfo(path, FIRST_DATE)
            member.external_attr = 0o100644 << 16
            archive.writestr(member, content)
    return output.getvalue()


@cache
def build_tarball() -> bytes:
    """Return a package of the client for JavaScript as `npm pack` builds it."""
    files = {
        "package.json": json.dumps(_describe_tarball(), indent=2).encode(),
        "bytelog.mjs": _read("bytelog.mjs"),
        "bytelog.d.mts": _read("bytelog.d.mts"),
    }
    output = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=output, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, content in files.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


@cache
def _version() -> str:
    try:
        return version("bytelog")
    except PackageNotFoundError:  # bytelog runs from a folder with its sources
        return "0"


def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _describe_wheel() -> str:
    return (
        "Metadata-Version: 2.1\n"
        f"Name: {NAME}\nVersion: {_version()}\nSummary: {SUMMARY}\n"
        "License: MIT\nRequires-Python: >=3.9\nClassifier: Typing :: Typed\n"
    )


def _format_record(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return f"{path},sha256={digest},{len(content)}\n"


def _describe_tarball() -> dict[str, object]:
    return {
        "name": NAME,
        "version": _version(),
        "description": SUMMARY,
        "license": "MIT",
        "type": "module",
        "exports": {".": {"types": "./bytelog.d.mts", "default": "./bytelog.mjs"}},
        "types": "./bytelog.d.mts",
        "engines": {"node": ">=20"},
    }
