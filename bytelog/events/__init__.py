"""The domain: what an event is (I-JSON, schemas), batches of events, and the store.

Imports `queries`, `storage`, `config` and `timestamps`; does not depend on HTTP.
"""
