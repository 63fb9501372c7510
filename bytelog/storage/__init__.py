"""The database: one interface, SQLite and PostgreSQL behind it, the tables, and the commit path.

Imports only `config` and `timestamps`. No other package asks which database it is.
"""
