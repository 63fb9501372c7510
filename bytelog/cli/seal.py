"""`bytelog seal`, and what `bytelog check` says about a seal."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click
from flask import Flask

from ..seals import document, sealing, signing
from ..seals.document import Seal, SealError
from ..seals.verification import Comparison
from .options import advance, resumable, with_existing_database

INPUT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("seal")
@click.option(
    "--private-key",
    "key_file",
    type=INPUT_FILE,
    help="Ed25519 key (PEM) that signs the seal; BYTELOG_SEAL_KEY_FILE by default.",
)
@click.option("--output", type=_OUTPUT_FILE, help="New file for the seal; default: stdout.")
@with_existing_database
def seal_events(service: Flask, key_file: Path | None, output: Path | None) -> None:
    """Seal the events recorded so far, while the database is in use.

    The seal is a small JSON document. Keep it where nobody who can change the database can change
    it, and compare the database with it by `bytelog check --seal FILE`.
    """
    key_file = key_file or service.config["BYTELOG_SEAL_KEY_FILE"]
    if key_file is None:
        raise click.UsageError("Give --private-key, or set BYTELOG_SEAL_KEY_FILE.")
    signer = signing.read_private_key(Path(key_file), Path(service.instance_path))
    if output:
        _check_output(output)
    with resumable():
        added = advance(sealing.store_leaves(), sealing.count_unsealed(), "Sealing")
    seal = sealing.make_seal(signer)
    if output:
        _write(output, seal.write())
    else:
        click.echo(seal.write(), nl=False)
    click.echo(
        f"Sealed {seal.events} events, {added} of them for the first time.\n{_describe_key(seal)}",
        err=True,
    )


def read_seal(file: Path | None, public_key: Path | None) -> Seal | None:
    """Read a seal for a check, and verify its signature."""
    if file is None:
        if public_key:
            raise click.UsageError("--public-key needs --seal.")
        return None
    try:
        seal = document.read_seal(file)
        signing.check_signature(seal, signing.read_public_key(public_key) if public_key else None)
    except (SealError, OSError) as error:
        raise click.ClickException(str(error)) from error
    return seal


def show_comparison(seal: Seal, comparison: Comparison) -> None:
    """Show a seal, and what it proves if the database does not contradict it."""
    click.echo(
        f"\nSeal: number {seal.number} of {seal.time}, {seal.events} events up to the key "
        f"{seal.last_key}\n{_describe_key(seal)}"
    )
    if not comparison.contradiction:
        click.echo(
            f"The sealed events are unchanged; {comparison.erased_before} were erased before the "
            f"seal, {comparison.erased_since} since."
        )


def refuse_contradiction(comparison: Comparison) -> None:
    """Exit with status 1 if the database contradicts a seal."""
    if comparison.contradiction:
        raise click.ClickException(
            f"the database contradicts the seal: {comparison.contradiction}."
        )


def _describe_key(seal: Seal) -> str:
    return f"Signed with the key SHA-256 {signing.compute_fingerprint(seal)}"


def _check_output(file: Path) -> None:
    if file.exists():
        raise click.ClickException(f"{file} exists, and earlier seals prove more. Choose another.")
    if not file.absolute().parent.is_dir():
        raise click.ClickException(f"there is no folder {file.absolute().parent}. Create it.")


def _write(file: Path, text: str) -> None:
    """Write a file that has its name only when it is complete and on the disk."""
    temporary = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    try:
        with temporary.open("x") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        temporary.rename(file)
    finally:
        temporary.unlink(missing_ok=True)
