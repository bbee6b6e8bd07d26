"""Figures are whole, whatever stdout is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.table import Table

from ha.cli.console import show


def test_a_table_is_not_cut_by_a_narrow_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    table = Table(box=None)
    for _ in range(7):
        table.add_column(no_wrap=True)
    table.add_row(*["123456789"] * 7)
    show(table)
    out = capsys.readouterr().out
    assert out.count("123456789") == 7
    assert [line.rstrip() for line in out.splitlines()] == out.splitlines()


@pytest.mark.parametrize("redirect", [">&-", "<&- >&- 2>&-", "| true"])
def test_an_output_that_nobody_takes_is_no_traceback_and_no_verdict(redirect: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m ha.cli.main validate single-node {redirect}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    assert done.returncode in (0, 3)
