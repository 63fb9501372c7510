"""The history of the schema: one step a file in `versions/`, and the way from any of them to HEAD.

Imports `storage`.
"""
