"""HA_FUZZ_HISTORIES=500000 runs more than the default."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest

from ha.check.values import check
from tests.properties.brute_force_values import history, linearizable

HISTORIES = int(os.environ.get("HA_FUZZ_HISTORIES", "8000"))
BATCHES = 8


@pytest.mark.timeout(max(120, HISTORIES // 100))
@pytest.mark.parametrize("batch", range(BATCHES))
def test_verdict_is_that_of_trying_every_order(batch):
    verdicts = Counter()
    for number in range(batch, HISTORIES, BATCHES):
        calls, initial = history(Random(number))
        verdict = check(calls, initial=initial)
        assert verdict.verdict == linearizable(calls, initial), (number, verdict, initial, calls)
        verdicts[verdict.verdict] += 1
    assert min(verdicts[True], verdicts[False]) > verdicts.total() / 8, verdicts
