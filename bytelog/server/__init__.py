"""`bytelog serve`: Waitress, with limits on what one client can do to the others.

Imports every package but `cli`, `clients` and `web`.
"""
