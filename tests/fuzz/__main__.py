"""`python -m tests.fuzz TARGET --seconds N --executions N`: search for inputs that break a reader.

libFuzzer stops after the given time or number of executions, whichever comes first. It continues
after a finding, reports each kind of failure once, and stores the input in the folder of findings.
The exit code is 1 if there was a finding.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path


def main() -> int:
    """Read the command line and fuzz in a separate process, because libFuzzer ends its process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", help="what to fuzz; see --list")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    parser.add_argument("--executions", type=int, default=1_000_000, help="how many at most")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="corpus and findings")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if find_spec("atheris") is None and not options.list:
        sys.stderr.write("fuzzing needs atheris: pip install atheris\n")
        return 2
    if options.worker:
        _work(options.target, options.seconds, options.executions, options.folder)
    from tests.fuzz.targets import TARGETS

    if options.list or options.target not in TARGETS:
        sys.stdout.write("\n".join(TARGETS) + "\n")
        return 0 if options.list else 2
    return _watch(options.target, options.seconds, options.executions, options.folder)


def _watch(target: str, seconds: int, executions: int, folder: Path) -> int:
    command = [sys.executable, "-m", "tests.fuzz", target, "--worker"]
    command += ["--seconds", str(seconds), "--executions", str(executions)]
    command += ["--folder", str(folder)]
    started = time.monotonic()
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", ended.stderr)
    findings_files = sorted((folder / target / "findings").glob("*"))
    findings = [path for path in findings_files if path.suffix != ".input"]
    done = f"{int(runs[1]):,}" if runs else "an unknown number of"
    took = f"{time.monotonic() - started:.0f} s"
    sys.stdout.write(f"{target}: {done} executions, {took}, {len(findings)} findings\n")
    for finding in findings:
        sys.stdout.write(f"  {finding}\n")
    if not runs:
        sys.stderr.write(ended.stderr[-3000:])
    return 1 if findings or not runs else 0


def _work(name: str, seconds: int, executions: int, folder: Path) -> None:
    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(
        include=["latte", "latte_benchmarks", "latte_webdataset", "yaml", "tarfile"]
    ):
        from tests.fuzz.targets import TARGETS, attempt
    target = TARGETS[name]
    corpus, findings = folder / name / "corpus", folder / name / "findings"
    for place in (corpus, findings):
        place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        try:
            attempt(target, data)
        except (Exception, RecursionError) as error:
            _keep(findings, data, error)

    once(b"")
    arguments = [sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-print_final_stats=1"]
    arguments += [f"-runs={executions}"]
    arguments += ["-timeout=20", "-report_slow_units=20"]
    arguments += ["-rss_limit_mb=3000", f"-artifact_prefix={findings}/"]
    atheris.Setup(arguments, once)
    atheris.Fuzz()


def _keep(findings: Path, data: bytes, error: BaseException) -> None:
    """Store the input and the traceback, once per kind of failure."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    name = f"{type(error).__name__}-{Path(frame.filename).stem}-{frame.lineno}"
    reported = findings / f"{name}.txt"
    if not reported.exists():
        (findings / f"{name}.input").write_bytes(data)
        reported.write_text("".join(traceback.format_exception(error)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
