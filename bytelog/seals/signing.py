"""Signatures of seals, Ed25519 (RFC 8032), by the library `cryptography`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from .document import Seal, SealError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

MAX_KEY_BYTES = 64 * 1024
"""Size up to which a file is read: a key has less than a kilobyte."""


class Signer:
    """Signs seals with a private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    def sign(self, seal: Seal) -> Seal:
        """Return the seal with its signature."""
        return replace(seal, signature=self._key.sign(seal.signed_bytes()).hex())


def read_private_key(file: Path, data_folder: Path) -> Signer:
    """Read a private key in PEM; raises SealError if it is not one, or not a secret."""
    if file.resolve().is_relative_to(data_folder.resolve()):
        raise SealError(
            f"the private key {file} is in the data folder: everyone who can change events could "
            "sign them, and backups would contain it. Move it elsewhere."
        )
    _require_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with file.open("rb") as source:
        mode = os.fstat(source.fileno()).st_mode
        text = source.read(MAX_KEY_BYTES)
    if mode & stat.S_IRWXO:
        raise SealError(f"other users have access to {file}. Make it private: chmod 600 {file}")
    key = _load(lambda: load_pem_private_key(text, None), file, "private")
    if not isinstance(key, Ed25519PrivateKey):
        raise _refuse_key(file, "private")
    return Signer(key)


def read_public_key(file: Path) -> str:
    """Return a public key in PEM as a seal contains it; raises SealError and OSError."""
    _require_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    with file.open("rb") as source:
        text = source.read(MAX_KEY_BYTES)
    key = _load(lambda: load_pem_public_key(text), file, "public")
    if not isinstance(key, Ed25519PublicKey):
        raise _refuse_key(file, "public")
    return key.public_bytes_raw().hex()


def check_signature(seal: Seal, public_key: str | None) -> None:
    """Raise SealError unless the key in a seal has signed it, and is `public_key` if given."""
    _require_library()
    from cryptography.exceptions import InvalidSignature

    try:
        _public_key(seal).verify(bytes.fromhex(seal.signature), seal.signed_bytes())
    except (InvalidSignature, ValueError) as error:
        raise SealError(
            "the signature of the seal is invalid: the seal was altered. Get the original."
        ) from error
    if public_key is not None and seal.public_key != public_key:
        raise SealError(
            "the seal was signed with another key, whose fingerprint is "
            f"{compute_fingerprint(seal)}. Find out who made it."
        )


def compute_fingerprint(seal: Seal) -> str:
    """Return the SHA-256 of a seal's public key in DER, which openssl computes too."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _public_key(seal)
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _public_key(seal: Seal) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.public_key))


def _load(load: Callable[[], object], file: Path, kind: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load()
    except TypeError as error:
        raise SealError(
            f"the key {file} is encrypted, and bytelog asks for no password. Use a key without one."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refuse_key(file, kind) from error


def _refuse_key(file: Path, kind: str) -> SealError:
    command = {
        "private": "openssl genpkey -algorithm ed25519 -out KEY",
        "public": "openssl pkey -in KEY -pubout -out FILE",
    }
    return SealError(f"{file} is no {kind} Ed25519 key in PEM. Create one: {command[kind]}")


def _require_library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise SealError(
            f"seals need a library ({error}). Install it: pip install 'bytelog[seal]'"
        ) from error
