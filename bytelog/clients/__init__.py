"""The clients that a server offers for download, as files and packages, and their endpoint.

A client file imports nothing from bytelog, so that it can be copied; the endpoint imports Flask.
"""
