"""A server that dies between the commit and the response."""

from __future__ import annotations

DIES_BEFORE_THE_RESPONSE = """
import os, signal
from bytelog import __main__
from bytelog.events import store
record = store.record
def record_and_die(*arguments):
    record(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
store.record = record_and_die
__main__.main()
"""
