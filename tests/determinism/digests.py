"""Prints a digest for each seed: ``python -m tests.determinism.digests FILE SEED...``. Started by `test_seeds`."""

from __future__ import annotations

import sys
from hashlib import sha256

import msgspec

from ha.experiment.simulation import run_scenario
from ha.spec.load import scenario


def main(file: str, seeds: list[int]) -> None:
    """A line for each: seed, digest of the trace, digest of history and result, verdict."""
    spec = scenario(file)
    for seed in seeds:
        run, trace = run_scenario(spec, seed=seed)
        result = msgspec.structs.replace(run.result, started="", wall_s=None)
        whole = msgspec.json.encode(msgspec.structs.replace(run, result=result))
        print(seed, trace.digest(), sha256(whole).hexdigest(), result.verdict, flush=True)  # noqa: T201  (its output)


if __name__ == "__main__":
    if sys.argv[1] == "hypothesis":
        import hypothesis  # noqa: F401  (it changes how trio schedules, for whoever relies on that)
    main(sys.argv[2], [int(seed) for seed in sys.argv[3:]])
