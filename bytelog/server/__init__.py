"""`bytelog serve`: Waitress with limits on what clients can do to one another.

Imports every package but `cli`, `clients` and `web`.
"""
