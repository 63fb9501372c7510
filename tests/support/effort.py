"""How long the tests may take."""

from __future__ import annotations

import os

LONG = "LONG" in os.environ
"""Whether the tests that are marked `long` take their time."""
