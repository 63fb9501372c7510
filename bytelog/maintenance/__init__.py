"""What operators do with a database: back up, check, prune, import, export, and migrate.

Imports `events`, `queries`, `auth`, `migrations` and `storage`; never `api` or `server`.
"""
