"""The commands: `bytelog NAME`, and `flask NAME` for the same.

Imports any package but `web`. Each command is in the module that its group or name says.
"""
