"""The pages for people: the explorer at `/`, and the documentation at `/docs`.

May import any package. Only the application factory imports it.
"""
