"""The duration of the tests."""

from __future__ import annotations

import os

LONG = "LONG" in os.environ
"""Whether the tests with the mark `long` run for their full duration."""
