"""HA_FUZZ_HISTORIES=500000 runs more than the default."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest

from ha.check.linearizability import check
from tests.properties.brute_force import history, linearizable

HISTORIES = int(os.environ.get("HA_FUZZ_HISTORIES", "24000"))
BATCHES = 8


@pytest.mark.timeout(max(120, HISTORIES // 100))
@pytest.mark.parametrize("batch", range(BATCHES))
def test_verdict_is_that_of_trying_every_order(batch):
    verdicts = Counter()
    for number in range(batch, HISTORIES, BATCHES):
        operations = history(Random(number))
        verdict = check(operations)
        assert verdict.verdict == linearizable(operations), (number, verdict, operations)
        verdicts[verdict.verdict, "search" in verdict.method] += 1
    total = verdicts.total()
    assert min(verdicts[True, False], verdicts[True, True]) > total / 25, verdicts
    assert min(verdicts[False, False], verdicts[False, True]) > total / 100, verdicts
