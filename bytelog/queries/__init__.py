"""Reading events: selections become SQL statements, and their rows become text.

Imports `storage`, `config` and `timestamps`; knows nothing of HTTP and of recording.
"""
