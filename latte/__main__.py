"""`python -m latte`, for environments whose scripts are not on the path."""

from latte.cli.main import main

main()
