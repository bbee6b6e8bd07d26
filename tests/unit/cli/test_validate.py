"""What ``ha validate`` and those that carry files out refuse alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from ha.cli import exits
from ha.cli.main import main

MUTANTS = """\
apiVersion: ha/v1
kind: Benchmark
name: planted
question: Is it found?
measure: mutants
topology: stacked-3
mutants: [vote-twice, vote-thrice]
"""


@pytest.mark.parametrize("command", ["validate", "bench"])
def test_a_mutant_that_there_is_not_is_wrong_input(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.yaml").write_text(MUTANTS)
    assert main([command, "b.yaml"]) == exits.BAD_INPUT
    said = capsys.readouterr().err
    assert "b.yaml: mutants[1]: found 'vote-thrice'" in said
    assert "did you mean 'vote-twice'?" in said
    assert [path.name for path in tmp_path.iterdir()] == ["b.yaml"]


def test_a_search_begins_at_a_seed_that_files_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fuzz", "etcd-3", "--seed", "-4"])
    assert "'-4' is no integer from 0 to" in capsys.readouterr().err
