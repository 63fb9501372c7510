"""Operations on a whole database or project: backup, check, retention, import, and migration.

Imports `sources` and the packages below it; never `api` or `server`.
"""
