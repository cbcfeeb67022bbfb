"""`python -m benchmarks NAME [OPTIONS]`: run one measurement.

A measurement is a module of this folder with `main(arguments)`.
"""

from __future__ import annotations

import importlib
import sys

from latte.cli.errors import print_error
from latte.interfaces import LatteError

MEASUREMENTS = (
    *("step", "epoch", "loader", "describe", "predict", "gpu", "reclip", "scale", "large"),
    *("folders", "names", "review", "questions", "answers", "calibration", "encoders", "encoding"),
    *("series", "gains", "self_taught", "no_class", "confidence", "orders", "question_runs"),
)


def main(arguments: list[str]) -> None:
    """Run the measurement NAME with the remaining arguments.

    Exits with code 2 for a mistake in the arguments or in files.
    """
    if not arguments or arguments[0] not in MEASUREMENTS:
        sys.exit(f"usage: python -m benchmarks {{{','.join(MEASUREMENTS)}}} [--help]")
    try:
        importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
    except LatteError as error:
        print_error(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
