"""Equal seeds make equal runs: in another process, with other hashes, in another order, and after Hypothesis.

As many seeds as ``HA_SEEDS`` says (default 3)::

    HA_SEEDS=50 uv run pytest tests/determinism -n0 --timeout 3600
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

SCENARIO = Path(__file__).with_name("scenario.yaml")
SEEDS = range(int(os.environ.get("HA_SEEDS", "3")))


def start(seeds: Iterable[int], *, hash_seed: int, before: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.determinism.digests", before, str(SCENARIO), *map(str, seeds)]
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def lines(process: subprocess.Popen[str]) -> dict[str, list[str]]:
    """What was printed, by seed."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return {line.split()[0]: line.split()[1:] for line in out.splitlines()}


@pytest.mark.timeout(60 + 30 * len(SEEDS))
def test_equal_seeds_make_equal_runs_and_different_ones_do_not() -> None:
    with (
        start(SEEDS, hash_seed=1, before="nothing") as one,
        start(reversed(SEEDS), hash_seed=4_000_000_007, before="hypothesis") as other,
    ):
        found, again = lines(one), lines(other)
    assert found.keys() == {str(seed) for seed in SEEDS}
    assert {seed for seed in found if found[seed] != again[seed]} == set()
    assert len({digest for digest, *_ in found.values()}) == len(SEEDS)
