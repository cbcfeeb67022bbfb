"""Entry point of the commands `latte` and `python -m latte`."""

import sys


def main() -> None:
    """Run the command line.

    Ctrl-C during the import of modules prints one line, not a traceback.
    """
    try:
        from latte.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
