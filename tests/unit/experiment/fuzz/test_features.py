from __future__ import annotations

import msgspec

from ha.experiment.fuzz.features import features
from ha.history import FaultEvent, MemberSample
from tests.unit.report.sample import sample


def test_equal_runs_reach_equal_features_and_other_runs_others() -> None:
    run = sample(seed=7)
    assert features(run) == features(sample(seed=7))
    undisturbed = msgspec.structs.replace(run, events=[e for e in run.events if not isinstance(e, FaultEvent)])
    assert features(undisturbed) != features(run)


def test_which_of_several_equals_was_hit_tells_nothing_new() -> None:
    def with_victim(node: str) -> frozenset[int]:
        fault = FaultEvent(at_s=1, index=0, action="inject", fault="kill", target="x", nodes=[node])
        gone = MemberSample(at_s=2, member=node, node=node, reachable=False)
        members = [MemberSample(at_s=0, member=name, node=name, reachable=True, leader="a", term=1) for name in "abc"]
        return features(msgspec.structs.replace(sample(), events=[*members, fault, gone]))

    assert with_victim("b") == with_victim("c")


def test_an_answer_counts_by_the_faults_in_force_when_it_was_asked() -> None:
    run = sample()
    fault = FaultEvent(at_s=0, index=0, action="inject", fault="pause", target="x", nodes=["a"])
    before, during = (msgspec.structs.replace(run, events=events) for events in ([], [fault]))
    assert not features(before) & features(during)
