"""A recording that cannot be finished says so, and hides nothing that went wrong before."""

from __future__ import annotations

from pathlib import Path

import pytest

from ha.experiment.recording import Recording
from ha.history import Event, Operation


class _Nobody:
    def operation(self, operation: Operation) -> None:
        """Not interested."""

    def event(self, event: Event) -> None:
        """Not interested."""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A run directory on which the history has no room."""
    (tmp_path / "history.jsonl").symlink_to("/dev/full")
    return tmp_path


async def test_a_full_disk_is_told_and_the_other_file_is_closed(full: Path) -> None:
    with pytest.raises(OSError, match="No space left"), Recording(full, _Nobody()) as recording:
        recording._files[0].write(b"x")
    assert recording._files[1].closed


async def test_a_full_disk_does_not_hide_what_ended_the_run(full: Path) -> None:
    with pytest.raises(KeyError) as raised, Recording(full, _Nobody()) as recording:  # noqa: PT012  (what is written first is the point)
        recording._files[0].write(b"x")
        raise KeyError("the reason")
    assert "No space left" in raised.value.__notes__[0]
    assert recording._files[1].closed
