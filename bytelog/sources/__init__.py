"""Messages of other systems and standards as events of bytelog: which member becomes which field.

Imports `events`, `config` and `timestamps`; does not depend on HTTP or files.
"""
