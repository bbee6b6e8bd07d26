"""What a search says at its end."""

from __future__ import annotations

import msgspec
import pytest

from ha.experiment.fuzz.search import Failure, Limits, Tally
from ha.report.searching import told

FAILURE = Failure(seed=3, verdict="fail", kinds=["durability"], reason="a write was lost")


@pytest.mark.parametrize(
    ("seeds", "inconclusive", "failures", "interrupted", "begins"),
    [
        (4, 1, [], False, "✓ Nothing found on etcd-3: 4 seeds from 7 in "),
        (2, 2, [], False, "? Nothing conclusive on etcd-3: 2 seeds from 7 in "),
        (0, 0, [], False, "? Nothing conclusive on etcd-3: 0 seeds from 7 in "),
        (4, 0, [], True, "? Interrupted, with nothing found, on etcd-3: 4 seeds from 7 in "),
        (4, 0, [FAILURE], True, "✗ Found 1 failure on etcd-3: 4 seeds from 7 in "),
    ],
)
def test_the_first_line_claims_no_more_than_was_searched(
    seeds: int, inconclusive: int, failures: list[Failure], *, interrupted: bool, begins: str
) -> None:
    tally = Tally()
    tally.seeds, tally.inconclusive, tally.failures = seeds, inconclusive, failures
    assert told("etcd-3", Limits(first_seed=7), tally, interrupted=interrupted, repeat=str)[0].startswith(begins)


def test_the_last_line_runs_the_repro_file() -> None:
    tally = Tally()
    tally.failures = [msgspec.structs.replace(FAILURE, repro="repro-3.yaml", faults=1, nodes=3)]
    lines = told("etcd-3", Limits(first_seed=3), tally, interrupted=False, repeat="uv run ha run {}".format)
    assert lines[-1] == "repeat    uv run ha run repro-3.yaml"
