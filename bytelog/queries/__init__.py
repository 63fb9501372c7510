"""Reading events: from a selection to an SQL statement, and from its rows to text.

Imports `storage`, `config` and `timestamps`; does not depend on HTTP or on recording.
"""
