"""A seed names one case, in every process; and what is shrunk is minimal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import strategies as st

from ha.experiment.fuzz.drawing import EnoughError, draw, shrink

_CASES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 100)), max_size=8)
_PROGRAM = """
import sys
{imports}
from ha.experiment.fuzz.cases import Space, cases
from ha.experiment.fuzz.drawing import EnoughError, draw, shrink
from ha.spec.load import load, resolve
space = Space(topology=load(resolve("stacked-3")))
for seed in range(5):
    print(draw(cases(space, seed), seed))
print(shrink(cases(space, 3), 3, lambda case: len(case.experiment.faults) > 1))
"""


def _printed(imports: str, hash_seed: str, directory: Path) -> str:
    root = str(Path(__file__).parents[4])
    program = [sys.executable, "-c", _PROGRAM.format(imports=imports)]
    environment = {"PYTHONPATH": root, "PYTHONHASHSEED": hash_seed, "PATH": ""}
    return subprocess.run(program, cwd=directory, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_seed_names_the_same_case_in_every_process_and_leaves_no_file(tmp_path: Path) -> None:
    """Hypothesis would draw constants from the modules that happen to be imported, and cache them beside the user."""
    one = _printed("", "1", tmp_path)
    other = _printed("import ha.cli.main, ha.raft.stock, tests.unit.raft.schedules", "2", tmp_path)
    assert one == other
    assert len(set(one.splitlines())) == 6
    assert list(tmp_path.iterdir()) == []


def test_other_seeds_name_other_cases() -> None:
    drawn = [draw(_CASES, seed) for seed in range(50)]
    assert len({repr(case) for case in drawn}) > 35
    assert drawn == [draw(_CASES, seed) for seed in range(50)]


def test_shrinking_finds_the_smallest_case_that_fails() -> None:
    def fails(case: list[tuple[str, int]]) -> bool:
        return sum(number > 20 for _, number in case) >= 2

    failing = [seed for seed in range(40) if fails(draw(_CASES, seed))]
    assert failing
    assert [shrink(_CASES, seed, fails) for seed in failing] == [[("a", 21), ("a", 21)]] * len(failing)


def test_shrinking_may_end_at_the_simplest_case_of_all() -> None:
    """It is the one that Hypothesis tries before our own, and so never again."""
    assert shrink(_CASES, 1, lambda _: True) == []


def test_shrinking_that_runs_out_of_time_keeps_what_it_has() -> None:
    """Then nothing fails any more; what failed before is answered as before."""
    seed = next(seed for seed in range(40) if len(draw(_CASES, seed)) > 4)
    assert shrink(_CASES, seed, lambda _: False) == draw(_CASES, seed)


def test_shrinking_ends_where_it_stands() -> None:
    asked = []

    def fails(case: list[tuple[str, int]]) -> bool:
        asked.append(case)
        if len(asked) > 10:
            raise EnoughError
        return sum(number > 20 for _, number in case) >= 2

    seed = next(seed for seed in range(40) if sum(number > 20 for _, number in draw(_CASES, seed)) > 3)
    found = shrink(_CASES, seed, fails)
    assert sum(number > 20 for _, number in found) >= 2
    assert len(found) <= len(draw(_CASES, seed))
    assert len(asked) == 11
