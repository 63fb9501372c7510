"""The clients that a server hands out, one file for each language, and their endpoint.

The client files import nothing of bytelog, so that they can be copied; the endpoint imports Flask.
"""
