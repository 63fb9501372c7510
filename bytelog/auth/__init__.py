"""Authentication: API keys and their projects, bearer tokens, and the rate limit.

Imports `storage` and the modules `config` and `timestamps`; knows nothing of events.
"""
