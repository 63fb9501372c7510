"""The executable starts here: PyInstaller takes a script, not a module."""

from bytelog.__main__ import main

main()
