"""The HTTP API: endpoints, parameters, bodies, errors, reader slots and the OpenAPI document.

Imports `events`, `queries`, `auth` and the packages below them; never `maintenance` or `server`.
"""
