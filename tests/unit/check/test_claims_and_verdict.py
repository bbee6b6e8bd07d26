from __future__ import annotations

from typing import get_args

import pytest

from ha.check.claims import evaluate
from ha.check.durability import lost_writes
from ha.check.linearizability import Linearizability
from ha.check.verdict import convicted_by, judge
from ha.history.result import PHASES, Claim, FaultRecord, Recovery, Unavailability, Window
from ha.spec import Bound, Conviction, Expect, OperationBounds, Phase
from tests.unit.check.ops import create, op, read

DOWN = {"write": Unavailability(longest_s=1.5, total_s=2.5)}


def recovery(*not_reached, **phases_s):
    return Recovery(fault=0, target="x", phases_s={**dict.fromkeys(PHASES), **phases_s}, not_reached=list(not_reached))


def held(expect, recoveries=()):
    return [claim.held for claim in evaluate(expect, DOWN, recoveries)]


def test_phases_of_files_are_those_of_results():
    assert get_args(Phase) == PHASES


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        (Bound(at_most_s=1.5), True),
        (Bound(at_most_s=1.4), False),
        (Bound(at_least_s=1.5), True),
        (Bound(at_least_s=1.6), False),
        (Bound(at_least_s=1, at_most_s=2), True),
    ],
)
def test_bounds_include_their_limits(bound, holds):
    assert held(Expect(unavailability={"write": OperationBounds(longest=bound)})) == [holds]
    assert held(Expect(recovery={"first_write": bound}), [recovery(first_write=1.5)]) == [holds]


def test_claim_says_what_was_expected_and_measured():
    expect = Expect(
        unavailability={"write": OperationBounds(total=Bound(at_most_s=2))},
        recovery={"raft_election": Bound(at_least_s=0.5, at_most_s=3)},
    )
    assert evaluate(expect, DOWN, [recovery(raft_election=1.0)]) == [
        Claim(
            checker="availability",
            expectation="unavailability of write, total: at most 2 s",
            measured="2.500 s",
            held=False,
        ),
        Claim(
            checker="recovery",
            expectation="recovery, raft election: at least 0.5 s and at most 3 s",
            measured="1.000 s",
            held=True,
        ),
    ]


def test_an_outage_that_only_the_end_of_the_load_cut_off_keeps_no_upper_limit():
    cut = {"write": Unavailability(longest_s=1.5, total_s=1.5, windows=[Window(7.5, 9.0)], open_ended=True)}

    def found(**bound):
        return evaluate(Expect(unavailability={"write": OperationBounds(longest=Bound(**bound))}), cut, [])[0].held

    assert found(at_most_s=2) is None
    assert found(at_most_s=1) is False
    assert found(at_least_s=1) is True


def test_each_of_several_faults_must_keep_a_lower_bound():
    expect = Expect(recovery={"first_write": Bound(at_least_s=2)})
    assert held(expect, [recovery(first_write=1.0), recovery(first_write=3.0)]) == [False]
    assert held(expect, [recovery(first_write=2.5), recovery(first_write=3.0)]) == [True]


def test_no_outage_is_said_with_the_threshold_below_which_none_is_seen():
    """Zero would claim that writes never stood still."""
    quiet = {"write": Unavailability(longest_s=0.0, total_s=0.0, threshold_s=0.1)}
    expect = Expect(unavailability={"write": OperationBounds(longest=Bound(at_most_s=2))})
    (claim,) = evaluate(expect, quiet, [])
    assert claim.measured == "none over 0.1 s"
    assert claim.held is True


def test_what_was_not_asked_is_not_measured():
    assert held(Expect(unavailability={"read": OperationBounds(longest=Bound(at_most_s=1))})) == [None]


def test_phase_that_applied_to_no_fault_is_not_measured():
    assert held(Expect(recovery={"raft_election": Bound(at_most_s=1)}), [recovery()]) == [None]


def test_phase_that_never_ended_breaks_an_upper_bound_and_keeps_a_lower_one():
    measured = [recovery(raft_election=0.1), recovery("raft_election")]
    assert held(Expect(recovery={"raft_election": Bound(at_most_s=1)}), measured) == [False]
    assert held(Expect(recovery={"raft_election": Bound(at_least_s=1)}), [recovery("raft_election")]) == [True]


HISTORY = [create("a", "1", 5, 1, 2)]
FAULT = FaultRecord(index=0, fault="kill", target="etcd-leader", nodes=["n"], injected_s=5, attested=True)


def verdict(**changes):
    arguments = {
        "load": HISTORY,
        "standstills": [],
        "linearizability": Linearizability(True),
        "lost": [],
        "unverified": [],
        "claims": [Claim(checker="availability", expectation="e", measured="m", held=True)],
        "faults": [FAULT],
        "faults_planned": 1,
        "faults_may_miss": False,
        "conviction": None,
    }
    return judge(**{**arguments, **changes})


def test_run_that_kept_everything_passes():
    assert verdict() == ("pass", "The history is linearizable, nothing acknowledged was lost and 1 claim held.")


UNATTESTED = FaultRecord(index=0, fault="kill", target="x", nodes=["n"], injected_s=5, attested=False, error="alive")


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({"linearizability": Linearizability(False, ["stale read"])}, "fail", "not linearizable: stale read"),
        ({"linearizability": Linearizability(None, ["undecided"])}, "fail", "could not be established"),
        ({"lost": lost_writes(HISTORY, [read("a", None, 0, 8, 9)])}, "fail", "1 acknowledged write lost"),
        (
            {"claims": [Claim(checker="availability", expectation="e", measured="m", held=False)]},
            "fail",
            "Bound broken: e, measured m",
        ),
        (
            {"claims": [Claim(checker="availability", expectation="e", measured="m", held=None)]},
            "inconclusive",
            "Could not be measured: e",
        ),
        ({"faults": [UNATTESTED]}, "inconclusive", "not attested: alive"),
        ({"faults": []}, "inconclusive", "Only 0 of 1 fault"),
        ({"faults_planned": 2}, "inconclusive", "Only 1 of 2 faults"),
        ({"load": [*HISTORY, op("read", "a", 3, 4, "fail")]}, "inconclusive", "no read succeeded"),
        ({"load": []}, "inconclusive", "Too few operations"),
        ({"load": [create("a", "1", 5, 6, 7)]}, "inconclusive", "Too few operations"),
        ({"standstills": ["x asked nothing"]}, "inconclusive", "The load stood still: x asked nothing"),
        ({"unverified": ["a", "b"]}, "inconclusive", "2 keys"),
    ],
)
def test_verdict_has_its_reason(changes, expected, reason):
    found, sentence = verdict(**changes)
    assert found == expected
    assert reason in sentence


@pytest.mark.parametrize("faults", [{"faults": [UNATTESTED]}, {"faults": []}, {"faults_planned": 2}])
def test_claim_about_whatever_strikes_does_without_what_does_not(faults):
    assert verdict(**faults, faults_may_miss=True)[0] == "pass"


def test_claim_about_whatever_strikes_needs_a_load_that_works():
    late = [create("a", "1", 5, 6, 7)]
    assert verdict(load=late, faults_may_miss=True)[0] == "pass"
    assert verdict(load=[], faults_may_miss=True)[0] == "inconclusive"
    assert verdict(standstills=["x asked nothing"], faults_may_miss=True)[0] == "inconclusive"


def test_everybody_who_convicts_is_named_once_and_in_order():
    """What was answered before what was bounded; a search that gave up convicts as well."""
    broken = [Claim(checker=c, expectation="e", measured="m", held=False) for c in ("recovery", "leaders", "leaders")]
    unknown = Claim(checker="pods", expectation="e", measured="m", held=None)
    lost = lost_writes(HISTORY, [read("a", None, 0, 8, 9)])
    found = convicted_by(Linearizability(None, ["undecided"]), lost, [*broken, unknown])
    assert found == ["linearizability", "durability", "leaders", "recovery"]
    assert convicted_by(Linearizability(True), [], [unknown]) == []


def test_what_is_no_bound_is_not_called_one():
    claim = Claim(checker="leaders", expectation="one leader", measured="two", held=False)
    assert verdict(claims=[claim]) == ("fail", "Does not hold: one leader, measured two.")


def test_conviction_outweighs_doubt():
    assert verdict(faults=[UNATTESTED], linearizability=Linearizability(False, ["x"]))[0] == "fail"


def test_run_without_planned_faults_needs_none():
    assert verdict(faults=[], faults_planned=0)[0] == "pass"


def test_where_a_conviction_is_claimed_it_is_what_passes():
    """Whatever else was found or not put to the test; a search that gave up is no conviction."""
    claimed = Conviction(engine="pysyncobj-stock", by="durability")
    lost = lost_writes(HISTORY, [read("a", None, 0, 8, 9)])
    stale = Linearizability(False, ["stale read"])
    told, reason = verdict(conviction=claimed, lost=lost, linearizability=stale, faults=[UNATTESTED])
    assert told == "pass"
    assert reason.startswith("As is claimed, durability convicts pysyncobj-stock: 1 acknowledged write lost: ")
    undecided = Linearizability(None, ["undecided"])
    assert verdict(conviction=Conviction(engine="etcd", by="linearizability"), linearizability=undecided)[0] == "fail"


def test_a_conviction_that_is_claimed_and_not_had_fails_if_it_was_put_to_the_test():
    claimed = Conviction(engine="pysyncobj-stock", by="durability")
    assert verdict(conviction=claimed) == ("fail", "durability does not convict pysyncobj-stock, as is claimed.")
    stale = Linearizability(False, ["stale read"])
    told, reason = verdict(conviction=claimed, linearizability=stale)
    assert (told, "instead: The history is not linearizable: stale read" in reason) == ("fail", True)
    assert verdict(conviction=claimed, faults=[])[0] == "inconclusive"
