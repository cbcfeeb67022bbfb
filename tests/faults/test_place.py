"""Messages of a process in the table."""

from __future__ import annotations

from tests.faults.place import Ended


def test_it_is_the_first_complaint_without_the_folder_where_it_happened() -> None:
    output = "run folder: runs/x\nerror: /tmp/a/place-12/runs/x: another process\n  wait for it\n"
    assert Ended(2, output).said == "runs/x: another process"


def test_who_does_not_complain_says_nothing() -> None:
    assert Ended(0, "all is well\n").said == ""
