"""Bad input: exit code 2, a message with file and field, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cli.ha import ha

_BAD = sorted(Path("tests/data/bad").iterdir())


def test_there_are_enough_bad_files() -> None:
    assert len(_BAD) >= 25


def test_every_bad_file_is_refused_by_name() -> None:
    done = ha("validate", *_BAD)
    assert done.returncode == 2
    for file in _BAD:
        assert f"{file}" in done.stderr, file
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", [_BAD[0], _BAD[-1]], ids=lambda file: file.name)
def test_run_refuses_a_bad_file_before_it_starts_anything(file: Path, tmp_path: Path) -> None:
    done = ha("run", file, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_directory_that_is_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = ha("run", "stacked-3", "--out", tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_problems_come_as_json_too() -> None:
    done = ha("validate", "--json", _BAD[0])
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["valid"] is False
    assert {"file", "field", "message"} <= set(answer["problems"][0])


def test_the_catalogue_is_valid() -> None:
    done = ha("validate", *sorted(Path("topologies").glob("*.yaml")), *sorted(Path("chaos").glob("*.yaml")))
    assert done.returncode == 0, done.stderr


def test_doctor_finds_this_machine_fit() -> None:
    done = ha("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["fit"] is True


def test_report_refuses_what_is_no_run(tmp_path: Path) -> None:
    done = ha("report", tmp_path)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr


def test_what_is_valid_but_unwise_is_noted(tmp_path: Path) -> None:
    text = Path("chaos/disk-lost.yaml").read_text().replace("target: etcd-leader", "target: etcd-followers")
    (tmp_path / "unwise.yaml").write_text(text)
    done = ha("validate", tmp_path / "unwise.yaml")
    assert done.returncode == 0
    notes = done.stderr.splitlines()
    assert [note.partition(" etcd members of ")[2].partition(" at once")[0] for note in notes] == [
        "stacked-3",
        "external-3",
    ]
    assert all(
        note.startswith(f"ha: note: {tmp_path / 'unwise.yaml'}: faults[0] empties the disks of 2 of 3")
        for note in notes
    )
    answer = json.loads(ha("validate", "--json", tmp_path / "unwise.yaml").stdout)
    assert [f"ha: note: {note}" for note in answer["notes"]] == notes
