"""The HTTP API: endpoints, parameters, bodies, errors, limits on readers, and their description.

Imports `events`, `queries`, `auth` and the packages below them; never `maintenance` or `server`.
"""
