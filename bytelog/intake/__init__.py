"""Messages that the SDKs of other systems and webhooks post. Each format is a file of its own.

Imports `api`, `auth`, `sources` and the packages below them; bytelog works without this folder.
"""
