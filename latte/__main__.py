"""Entry point of the command `latte`, and of `python -m latte` where the command is not found."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while modules are imported prints one line, as later."""
    try:
        from latte.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
