"""The entry point of the executable: PyInstaller needs a script, not a module."""

from bytelog.__main__ import main

main()
