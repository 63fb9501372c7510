"""Copying a database, or single projects, to another database while the service runs.

May import what `maintenance` may.
"""
