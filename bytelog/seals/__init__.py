"""Seals: signed proofs of what was recorded, which remain valid when events are erased.

Imports only `storage`, `config` and `timestamps`. Needs `cryptography` for signatures alone.
"""
