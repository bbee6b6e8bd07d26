"""``junit.xml``: one test case per claim, per safety check and per fault, for CI systems.

A claim that did not hold is a failure. One that could not be measured, and a fault that was not attested,
is an error: a run that proves nothing must not look green. Where a conviction is claimed that case decides, and what
must else hold is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import msgspec

from ha.history.result import FaultRecord, Result, Run
from ha.report.words import conviction, fault_title, safety

__all__ = ["render"]

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Case(msgspec.Struct, frozen=True):
    group: str
    name: str
    failure: str = ""
    error: str = ""
    skipped: str = ""


def render(run: Run) -> bytes:
    """The document, UTF-8."""
    result = run.result
    cases = list(_cases(result))
    totals = {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": str(sum(bool(case.error) for case in cases)),
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "time": f"{result.duration_s:.3f}",
    }
    root = ET.Element("testsuites", totals)
    name = _clean(f"{result.experiment} on {result.topology}")
    suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": _clean(result.started), **totals})
    _properties(suite, result)
    for case in cases:
        _element(suite, case, result)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _properties(suite: ET.Element, result: Result) -> None:
    values = {
        "verdict": result.verdict,
        "seed": str(result.seed),
        "world": result.world,
        "timings": result.timings,
        "run_dir": result.run_dir,
        "repeat": result.repeat,
    }
    if result.mutant is not None:
        values["mutant"] = result.mutant
    if result.trace_digest is not None:
        values["trace_digest"] = result.trace_digest
    if result.wall_s is not None:
        values["wall_s"] = f"{result.wall_s:.3f}"
    parent = ET.SubElement(suite, "properties")
    for key, value in values.items():
        ET.SubElement(parent, "property", {"name": key, "value": _clean(value)})


def _cases(result: Result) -> Iterator[_Case]:
    for name, _, held in conviction(result):
        yield _Case("claims", name, *_outcome(held, result.reason))
    for case in _always(result):
        told = case.failure or case.error
        yield _Case(case.group, case.name, skipped=told) if result.expected_conviction and told else case


def _always(result: Result) -> Iterator[_Case]:
    """What is asked of every run."""
    for claim in result.claims:
        text = f"measured {claim.measured}"
        yield _Case("claims", claim.expectation, *_outcome(claim.held, text))
    explanation = "\n".join(result.checks.explanation)
    for name, found, held in safety(result):
        # Undecided counts as failed: nobody may rely on a history that could not be judged.
        yield _Case("safety", name, "" if held else f"{found}\n{explanation}".strip())
    for fault in result.faults:
        yield _fault_case(fault)


def _outcome(held: bool | None, text: str) -> tuple[str, str]:  # noqa: FBT001  (a truth value is what it words)
    if held is None:
        return "", f"not measured: {text}"
    return ("", "") if held else (text, "")


def _fault_case(fault: FaultRecord) -> _Case:
    name = f"fault {fault.index}: {fault_title(fault)} took effect"
    return _Case("faults", name, error="" if fault.attested else fault.error or "no evidence that it took effect")


def _element(suite: ET.Element, case: _Case, result: Result) -> None:
    group = _clean(f"{result.topology}.{result.experiment}.{case.group}")
    attributes = {"classname": group, "name": _clean(case.name), "time": "0"}
    element = ET.SubElement(suite, "testcase", attributes)
    for tag, text in (("failure", case.failure), ("error", case.error), ("skipped", case.skipped)):
        if text:
            child = ET.SubElement(element, tag, {"message": _clean(text.splitlines()[0])})
            child.text = _clean(text)


def _clean(text: str) -> str:
    """What XML 1.0 can hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
