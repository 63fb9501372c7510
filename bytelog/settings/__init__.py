"""How settings are loaded: their sources, their precedence, and the check of each value.

Imports only `config`, which has the table of settings.
"""
