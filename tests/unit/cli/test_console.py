"""Figures are whole, whatever stdout is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from ha.cli import exits
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


@pytest.mark.parametrize("redirect", [">&-", "<&- >&- 2>&-"])
def test_an_output_that_is_closed_takes_everything(redirect: str) -> None:
    command = f"{sys.executable} -m ha.cli.main validate single-node {redirect}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (exits.OK, "")


@pytest.mark.parametrize(
    ("broken", "command"),
    [
        ("stdout", "validate single-node"),
        ("stderr", "validate no-such-thing"),
        ("stderr", "run no-such-thing"),
        ("stderr", "report no-such-directory"),
        ("stderr", "run single-node --world sim --seed 1"),  # its progress
    ],
)
def test_a_reader_that_has_gone_ends_a_command_quietly_and_without_a_verdict(
    broken: str, command: str, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {broken: writer}
    line = [sys.executable, "-m", "ha.cli.main", *command.split()]
    done = subprocess.run(line, cwd=tmp_path, text=True, timeout=60, check=False, **streams)
    os.close(writer)
    assert (done.returncode, done.stdout or done.stderr or "") == (exits.READER_GONE, "")
