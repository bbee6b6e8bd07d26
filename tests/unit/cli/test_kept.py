"""What the state directory says, however it was left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ha.cli import exits
from ha.cli.kept import Condition, Kept, all_kept, kept
from ha.cli.main import main
from ha.world.real import daemon


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A cluster whose keeper is no more."""
    monkeypatch.setenv("HOME", str(tmp_path))
    left = kept("mine")
    left.directory.mkdir(parents=True)
    left.log.write_text("out of memory\n")
    return left


def test_a_lock_has_one_holder_that_everybody_can_see(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    held = daemon.hold(lock)
    assert held is not None
    assert daemon.hold(lock) is None
    assert daemon.holder(lock) == daemon.identity()
    held.close()
    again = daemon.hold(lock)
    assert again is not None
    again.close()


def test_a_lock_file_that_was_removed_by_its_holder_is_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with daemon.hold(lock) as _first:
        lock.unlink()
        with daemon.hold(lock) as _second:
            assert daemon.holder(lock) == daemon.identity()


def test_a_dead_cluster_is_told_with_its_log_and_removed(cluster: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster.condition() is Condition.DIED
    assert main(["status", "mine"]) == exits.FAILED
    said = capsys.readouterr().err
    assert "died" in said
    assert str(cluster.log) in said
    assert main(["down", "mine"]) == exits.OK
    assert str(cluster.log) in capsys.readouterr().out
    assert not cluster.directory.exists()
    assert not cluster.lock.exists()
    assert cluster.log.exists()


@pytest.mark.parametrize("content", [b"{", b"\xff", json.dumps({"name": "mine", "pid": 1}).encode()])
def test_a_damaged_cluster_is_told_in_one_line(
    cluster: Kept, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.file.write_bytes(content)
    assert main(["status"]) == exits.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert str(cluster.file) in line
    assert "ha down mine" in line
    assert main(["down", "mine"]) == exits.OK
    assert all_kept() == []


def test_a_name_that_is_coming_up_is_refused(cluster: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon.hold(cluster.lock) as held:
        assert held is not None
        assert main(["up", "single-node", "--name", "mine"]) == exits.BAD_INPUT
    assert "up or coming up already" in capsys.readouterr().err


@pytest.mark.parametrize("home", ["missing", "file"])
def test_a_home_that_is_none_is_bad_input(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    assert main(["up", "single-node"]) == exits.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / home) in line
