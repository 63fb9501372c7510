"""URLs of databases, as messages show them."""

from __future__ import annotations

from sqlalchemy import URL


def hide_secrets(url: URL) -> str:
    """Return a URL without its passwords, which libpq also takes as parameters."""
    secrets = [name for name in url.query if "pass" in name or "secret" in name]
    return url.difference_update_query(secrets).render_as_string()
