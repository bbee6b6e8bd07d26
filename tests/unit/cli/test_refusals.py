"""What ``ha status`` finds in the log of a member that does not run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ha.cli.status import _refusal

REFUSAL = '2026-01-01T00:00:01.000000Z refused to start error="raft/journal: damaged at byte 7"'
SERVING = "2026-01-01T00:00:02.000000Z serving clients address=127.0.0.1:2379"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], None),
        ([SERVING, REFUSAL], 'refused to start error="raft/journal: damaged at byte 7"'),
        ([REFUSAL, SERVING], None),
    ],
)
def test_the_last_refusal_counts_unless_the_member_served_since(
    tmp_path: Path, lines: list[str], said: str | None
) -> None:
    log = tmp_path / "logs" / "etcd-1" / "etcd.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(line + "\n" for line in lines))
    assert _refusal(SimpleNamespace(directory=str(tmp_path)), "etcd-1") == said
    assert _refusal(SimpleNamespace(directory=str(tmp_path)), "etcd-2") is None
