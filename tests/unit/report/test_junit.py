from xml.etree import ElementTree as ET

import msgspec

from ha.history.result import Claim, Result, Run
from ha.report import junit
from tests.unit.report.sample import sample

RUN = sample()


def cases(result: Result) -> dict[str, ET.Element]:
    root = ET.fromstring(junit.render(Run(result=result, operations=[], events=[])))
    return {case.get("name", ""): case for case in root.iter("testcase")}


def test_each_claim_check_and_fault_is_a_test_case() -> None:
    found = cases(RUN.result)
    assert len(found) == len(RUN.result.claims) + 2 + len(RUN.result.faults)
    assert all(len(case) == 0 for case in found.values())


def test_totals_count_failures_and_errors() -> None:
    claims = [
        Claim(checker="ready", expectation="a", measured="9 s", held=False),
        Claim(checker="ready", expectation="b", measured="-", held=None),
    ]
    result = msgspec.structs.replace(RUN.result, claims=claims)
    root = ET.fromstring(junit.render(Run(result=result, operations=[], events=[])))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "1")


def test_claim_that_did_not_hold_is_a_failure_and_one_not_measured_an_error() -> None:
    claims = [
        Claim(checker="ready", expectation="a", measured="9 s", held=False),
        Claim(checker="ready", expectation="b", measured="-", held=None),
    ]
    found = cases(msgspec.structs.replace(RUN.result, claims=claims))
    assert [child.tag for child in found["a"]] == ["failure"]
    assert found["a"][0].get("message") == "measured 9 s"
    assert [child.tag for child in found["b"]] == ["error"]


def test_undecided_linearizability_is_a_failure() -> None:
    checks = msgspec.structs.replace(RUN.result.checks, linearizable=None, explanation=["too many unknown"])
    found = cases(msgspec.structs.replace(RUN.result, checks=checks))
    failure = found["The history is linearizable"][0]
    assert failure.tag == "failure"
    assert "too many unknown" in (failure.text or "")


def test_fault_that_is_not_attested_is_an_error() -> None:
    fault = msgspec.structs.replace(RUN.result.faults[0], attested=False)
    found = cases(msgspec.structs.replace(RUN.result, faults=[fault]))
    (case,) = [case for name, case in found.items() if name.startswith("fault 0")]
    assert case[0].get("message") == "no evidence that it took effect"


def test_text_that_xml_cannot_hold_is_replaced() -> None:
    claims = [Claim(checker="ready", expectation="a\x00<b>&", measured="\x1b[31m", held=False)]
    assert "a\ufffd<b>&" in cases(msgspec.structs.replace(RUN.result, claims=claims))


def test_where_a_conviction_is_claimed_it_decides_and_the_rest_is_skipped() -> None:
    claims = [Claim(checker="convergence", expectation="a", measured="apart", held=False)]
    convicted = msgspec.structs.replace(
        RUN.result, claims=claims, expected_conviction="durability", engine="pysyncobj-stock"
    )
    found = cases(convicted)
    assert len(found["Claimed: durability convicts pysyncobj-stock"]) == 0
    assert [(child.tag, child.get("message")) for child in found["a"]] == [("skipped", "measured apart")]
    acquitted = cases(msgspec.structs.replace(convicted, verdict="fail", reason="It does not."))
    (failure,) = acquitted["Claimed: durability convicts pysyncobj-stock"]
    assert (failure.tag, failure.get("message")) == ("failure", "It does not.")
