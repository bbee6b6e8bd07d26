"""What ``ha chaos`` says before it does anything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ha.cli import chaos, exits
from ha.cli.main import main
from ha.history import FaultEvent
from ha.spec.load import topology


@pytest.fixture(autouse=True)
def _cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = topology("stacked-3")
    monkeypatch.setattr(chaos, "_state", lambda _name: SimpleNamespace(shape=shape, chaos="127.0.0.1:1"))


def test_an_unknown_target_is_told_once_with_what_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "pause", "etcd-leadr"]) == exits.BAD_INPUT
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("did you mean 'etcd-leader'?")


@pytest.mark.parametrize(("take", "notes"), [(["--take", "majority"], 1), (["--take", "one"], 0), ([], 1)])
def test_disks_that_are_missed_are_told_before_they_are_emptied(
    take: list[str], notes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chaos", "wipe-disk", "etcd", *take]) == exits.INCONCLUSIVE  # there is no keeper
    said = capsys.readouterr().err
    assert said.count("no majority is left that holds what was acknowledged") == notes
    assert "the keeper of the cluster does not answer" in said


def test_what_took_how_long_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    event = FaultEvent(at_s=1, index=0, action="undo", fault="pause", target="etcd-leader", nodes=["a"], took_s=0.03)
    chaos._show(event)
    assert capsys.readouterr().out == "undo pause of etcd-leader → a (took 0.03 s)\n"


def test_a_clock_may_be_set_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "clock-offset", "control-plane-1", "--offset", "-30s"]) == exits.INCONCLUSIVE
    assert "the keeper of the cluster does not answer" in capsys.readouterr().err
