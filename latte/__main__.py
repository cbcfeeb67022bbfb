"""Run latte as `python -m latte`, for systems that do not find the command `latte`."""

from latte.cli.main import main

main()
