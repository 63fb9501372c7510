"""The history of the schema, one revision per file in `versions/`, and the upgrade to the latest.

Imports `storage`.
"""
