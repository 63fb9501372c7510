"""Operations on a whole database: backup, check, pruning, import, and migration.

Imports `events`, `queries`, `auth`, `migrations` and `storage`; never `api` or `server`.
"""
