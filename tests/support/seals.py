"""Keys and seals, with openssl and the library that bytelog uses."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bytelog.seals import sealing
from bytelog.seals.document import Seal
from bytelog.seals.signing import Signer

SIGNER = Signer(Ed25519PrivateKey.generate())


def create_key(file: Path, algorithm: str = "ed25519") -> Path:
    """Create a private key as the documentation says, and its public key beside it."""
    create = ["openssl", "genpkey", "-algorithm", algorithm, "-out", str(file)]
    subprocess.run(create, check=True, capture_output=True)
    public = ["openssl", "pkey", "-in", str(file), "-pubout"]
    with file.with_suffix(".pub").open("wb") as target:
        subprocess.run(public, check=True, stdout=target)
    file.chmod(0o600)
    return file


def seal_events() -> Seal:
    """Seal all events of the current application."""
    for _ in sealing.store_leaves(lambda _: None):
        pass
    return sealing.make_seal(SIGNER)
