"""`bytelog follow`: each event that arrives is passed on, and a position is kept under a name.

Without this folder, its two commands and one line of `bytelog/__init__.py`, the rest still works.
Imports config, timestamps, storage, queries, auth, events, maintenance and api.
"""
