"""The commands: `bytelog NAME`, and `flask NAME` for the same.

Imports any package but `web`. Each module holds one command, or a group of related ones.
"""
