from typing import get_args

import msgspec

from ha.history.result import PHASES, Checker
from ha.spec import Experiment, Phase
from ha.spec.load import scenario
from ha.spec.model import CheckerName


def test_phases_of_the_format_are_those_of_the_result() -> None:
    assert get_args(Phase) == PHASES


def test_checkers_of_the_format_are_those_of_the_result_that_bound_nothing() -> None:
    assert get_args(CheckerName) == tuple(
        c for c in get_args(Checker) if c not in ("liveness", "availability", "recovery")
    )


def test_specs_survive_json() -> None:
    experiment = scenario("stacked-3").experiment
    assert msgspec.json.decode(msgspec.json.encode(experiment), type=Experiment) == experiment
