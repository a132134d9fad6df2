"""``python -m vlmforge`` is the command ``vlmforge``."""

from vlmforge.cli import main

main()
