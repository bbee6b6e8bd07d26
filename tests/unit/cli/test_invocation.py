"""The command that is printed works where this one did."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ha.cli.invocation import command

WORDS = ["run", "my files/a.yaml", "--seed", "7"]


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv in a directory that is the PATH, whose environment is in use."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV", str(tmp_path / "uv"))
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    return tmp_path / "uv"


def test_who_came_by_uv_run_goes_by_uv_run(uv: Path) -> None:
    assert command(WORDS) == "uv run ha run 'my files/a.yaml' --seed 7"


def test_a_uv_that_is_not_on_the_path_is_named_by_its_own(uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert command(WORDS) == f"{uv} run ha run 'my files/a.yaml' --seed 7"


@pytest.mark.parametrize("variable", ["UV", "VIRTUAL_ENV"])
def test_an_activated_environment_and_uvx_are_no_uv_run(
    variable: str, uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable)
    assert command(WORDS) == "ha run 'my files/a.yaml' --seed 7"


@pytest.mark.skipif(shutil.which("uv") is None, reason="this machine has no uv on its PATH")
def test_uv_run_hands_down_what_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("UV", "VIRTUAL_ENV"):
        monkeypatch.delenv(variable, raising=False)
    source = "from ha.cli.invocation import command; print(command(['--version']))"
    line = ["uv", "run", "--offline", "--no-sync", "python", "-c", source]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert shlex.split(done.stdout) == ["uv", "run", "ha", "--version"]
