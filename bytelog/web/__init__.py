"""The pages for people: the explorer at `/`, and the documentation at `/docs`.

Imports any package. Nothing but the application factory imports it.
"""
