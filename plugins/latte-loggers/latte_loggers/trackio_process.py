"""Process that reads metrics as JSON lines from stdin and logs them to Trackio."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Log each row of stdin to Trackio, until stdin ends."""
    import trackio

    start = json.loads(sys.stdin.readline())
    trackio.init(
        project=start["project"],
        name=start["name"],
        config=start["config"],
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    for line in sys.stdin:
        row = json.loads(line)
        trackio.log(row["values"], step=row["step"])
    trackio.finish()


if __name__ == "__main__":
    main()
