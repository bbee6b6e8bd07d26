"""Figures as people read them, the same in the terminal and on the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeGuard

from ha.history import FaultEvent
from ha.history.result import ArrivalCounts, FaultRecord, Result, Unavailability, Verdict, WatchCounts
from ha.spec.faults import INSTANT

__all__ = [
    "NOT_REACHED",
    "PHASE_NAMES",
    "VERDICT_WORDS",
    "WATCH_COLUMNS",
    "bytes_text",
    "conviction",
    "count",
    "evidence_summary",
    "evidence_text",
    "fault_note",
    "fault_title",
    "figure",
    "held",
    "in_force_until_s",
    "judgements",
    "linearizable",
    "milliseconds",
    "outage",
    "phrase",
    "plural",
    "safety",
    "schedule",
    "seconds",
    "watched",
    "world",
]

VERDICT_WORDS: dict[Verdict, tuple[str, str]] = {
    "pass": ("✓", "Passed"),
    "fail": ("✗", "Failed"),
    "inconclusive": ("?", "Inconclusive"),
}
"""A sign and a word for each verdict: colour alone never says it."""

PHASE_NAMES = {
    "load_balancer_detection": "Load balancer notices",
    "raft_election": "Raft elects a leader",
    "first_write": "First write is served",
    "controller_manager_takeover": "Controller manager takes over",
    "scheduler_takeover": "Scheduler takes over",
    "node_not_ready": "Node is found not ready",
    "pods_running_elsewhere": "Pods run elsewhere",
}

NOT_REACHED = "not before the end"
"""A phase that applies and did not end while the run looked; it might have later."""

_PLACES = ("byte", "bit")
_FEW_VICTIMS = 3
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MIB = 1 << 20


def seconds(value: float | None) -> str:
    """``0.038`` → ``38 ms``, ``1.5`` → ``1.50 s``, ``75`` → ``75.0 s``; None → ``—``."""
    if value is None:
        return "—"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def outage(gone: Unavailability | None) -> tuple[str, str]:
    """The longest outage and all together. None found is no zero: ones as short as the threshold do not count."""
    if gone is None:
        return "—", "—"
    if not gone.windows and gone.threshold_s is not None:
        return f"≤ {seconds(gone.threshold_s)}", "—"
    return seconds(gone.longest_s), seconds(gone.total_s)


def schedule(arrivals: Mapping[str, ArrivalCounts]) -> str:
    """What the clients asked, and whether they kept their schedule."""
    asked = sum(one.taken for one in arrivals.values())
    late = sum(one.late for one in arrivals.values())
    latest_s = max((one.lateness_max_s for one in arrivals.values()), default=0.0)
    rate = sum(one.rate_per_s or 0.0 for one in arrivals.values())
    missed = sum(max(0, one.due - one.taken) for one in arrivals.values() if one.due is not None)
    loop = f"{rate:g}/s in an open loop" if rate else "a closed loop"
    loop += f"; {count(missed)} that were due never asked" if missed > asked / 100 else ""
    return f"{count(asked)} requests, {loop}" + (
        f"; {count(late)} asked late, {seconds(latest_s)} at most" if late else ""
    )


WATCH_COLUMNS = ("watchers", "events", "bookmarks", "resumed", "lost", "compacted")


def watched(found: WatchCounts) -> list[str]:
    """The figures of `WATCH_COLUMNS`."""
    figures = (found.watchers, found.events, found.bookmarks, found.resumed, found.lost, found.compacted)
    return [count(figure) for figure in figures]


_PROGRAMS_OF_OTHERS = {"etcd": "etcd", "haproxy": "HAProxy"}


def world(result: Result) -> str:
    """Where it ran, and with which programs of others; of a simulation how long that took for real, since all other
    times are virtual.
    """
    if result.wall_s is None:
        versions = result.versions
        others = [f"{name} {versions[key]}" for key, name in _PROGRAMS_OF_OTHERS.items() if key in versions]
        return " · ".join([f"{result.world} world", *others])
    return f"simulated world, {seconds(result.duration_s)} of virtual time in {seconds(result.wall_s)}"


def load_balancer(result: Result) -> str:
    """Which program stands before the API servers, without what a distribution adds to its version."""
    version = result.versions.get("haproxy")
    return "embedded" if version is None else f"{_PROGRAMS_OF_OTHERS['haproxy']} {version.partition('-')[0]}"


SENTENCES = 20
"""So many of those that convict a run are shown at once: a store that lost everything has hundreds of them."""


def times(ratio: float | None) -> str:
    """A ratio, as a multiple."""
    return "" if ratio is None else f"{ratio:.3g} x"


def milliseconds(value: float | None) -> str:
    """Three significant figures or so."""
    if value is None:
        return "—"
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def bytes_text(value: int) -> str:
    """In MiB."""
    return f"{value / _MIB:,.0f} MiB" if value >= 10 * _MIB else f"{value / _MIB:.1f} MiB"


def count(value: int) -> str:
    """With separators for thousands."""
    return f"{value:,}"


def figure(value: str | float | None) -> str:
    """Three significant figures or so; words as they are."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def plural(n: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def held(value: bool | None) -> tuple[str, str]:  # noqa: FBT001  (a truth value is what it words)
    """A sign and a word."""
    if value is None:
        return "?", "not measured"
    return ("✓", "held") if value else ("✗", "did not hold")


def linearizable(value: bool | None) -> str:  # noqa: FBT001
    """The outcome of the linearizability check."""
    return {True: "linearizable", False: "not linearizable", None: "undecided"}[value]


def judgements(result: Result) -> list[tuple[str, str, bool | None]]:
    """The safety checks and then the claims: what must hold, what was found, whether it does. Before them a conviction
    that is claimed: then they need not hold.
    """
    claims = [(_sentence(claim.expectation), claim.measured, claim.held) for claim in result.claims]
    return conviction(result) + safety(result) + claims


def conviction(result: Result) -> list[tuple[str, str, bool | None]]:
    """The conviction that is claimed, if one is, in the form of `judgements`. Its truth is the verdict of the run."""
    if result.expected_conviction is None:
        return []
    claimed = f"Claimed: {result.expected_conviction} convicts {result.engine}"
    held = {"pass": True, "fail": False, "inconclusive": None}[result.verdict]
    return [(claimed, "it does" if held else "it does not", held)]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def safety(result: Result) -> list[tuple[str, str, bool | None]]:
    """The safety checks: what must hold, what was found, whether it does."""
    checks = result.checks
    method = f" ({checks.method})" if checks.method else ""
    lost = "none lost" if checks.lost_writes == 0 else f"{count(checks.lost_writes)} lost"
    return [
        ("The history is linearizable", linearizable(checks.linearizable) + method, checks.linearizable),
        ("No acknowledged write is lost", lost, checks.lost_writes == 0),
    ]


def fault_title(fault: FaultRecord) -> str:
    """``kill etcd-leader → control-plane-2``."""
    hit = ", ".join(fault.processes or fault.nodes)
    return f"{fault.fault} {fault.target} → {hit}" if hit and hit != fault.target else f"{fault.fault} {fault.target}"


def fault_note(event: FaultEvent) -> str:
    """What was injected or undone, and what went wrong: ``kill etcd-leader → control-plane-2``."""
    hit = ", ".join(event.processes or event.nodes)
    verb = event.fault if event.action == "inject" else f"undo {event.fault} of"
    text = f"{verb} {event.target}" + (f" → {hit}" if hit and hit != event.target else "")
    if event.error:
        return f"{text}: {event.error}"
    return text if event.attested or event.action == "undo" else f"{text}: not attested"


def in_force_until_s(fault: FaultRecord, end_s: float) -> float:
    """Until when a fault was in force in a run that ended at `end_s`: some are over when they were injected, and one
    that hit nobody never was.
    """
    if fault.undone_s is not None:
        return min(fault.undone_s, end_s)
    return fault.injected_s if fault.fault in INSTANT or not fault.evidence else end_s


def evidence_summary(evidence: Mapping[str, object], undo_evidence: Mapping[str, object] | None = None) -> str:
    """Evidence at a glance: ``control-plane-3: SIGKILL, 5 exited``; of many victims the first, and how many more. What
    was counted until it was undone is evidence, too: ``cut of 2 links, 512 bytes held``.
    """
    ended = undo_evidence or {}
    glances = [(victim, _glance(seen, ended.get(victim))) for victim, seen in list(evidence.items())[:_FEW_VICTIMS]]
    shown = [glance if victim == "links" else f"{victim}: {glance}" for victim, glance in glances]
    more = len(evidence) - len(shown)
    return "\n".join([*shown, f"and {more} more"] if more else shown)


def _glance(seen: object, ended: object) -> str:
    """Counts for lists of processes, a name where there is only one; no numbers that mean nothing to people."""
    if not isinstance(seen, dict):
        return str(seen)
    parts = []
    for key, value in seen.items():
        if _is_disturbance(value):
            parts.append(_disturbance(value))
        elif _many(value):
            parts.append(f"{next(iter(value))} {key}" if len(value) == 1 else f"{len(value)} {key}")
        elif isinstance(value, str):
            parts.append(value if key == "signal" else f"{key} {value}")
    counted = ended if isinstance(ended, dict) else {}
    parts += [_counted(name, n) for name, n in counted.items() if isinstance(n, int) and n and name != "process_group"]
    return ", ".join(parts) or "attested"


def _counted(name: str, number: int) -> str:
    """``512 bytes held``; but ``byte 246835``, which is a place."""
    return f"{name} {number}" if name in _PLACES else f"{count(number)} {name.replace('_', ' ')}"


def _is_disturbance(value: object) -> TypeGuard[dict[str, object]]:
    """Whether it is what a world says of a disturbance that it imposed."""
    return isinstance(value, dict) and "kind" in value


def _disturbance(value: Mapping[str, object]) -> str:
    """``disk full``, ``delay of 10 links, latency 80 ms``."""
    kind = _CAPITAL.sub(" ", str(value["kind"])).lower()
    links = value.get("links")
    what = f"{kind} of {plural(len(links), 'link')}" if isinstance(links, list) else kind
    figures = [_figure(name, v) for name, v in value.items() if isinstance(v, int | float)]
    return ", ".join([what, *figures])


def _figure(name: str, value: float) -> str:
    """``latency_s`` 0.08 → ``latency 80 ms``."""
    if name.endswith("_per_s"):
        return f"{value:,.0f} {name.removesuffix('_per_s')}/s"
    if name.endswith("_s"):
        return f"{name.removesuffix('_s')} {'-' if value < 0 else ''}{seconds(abs(value))}"
    return f"{name} {value:g}"


def evidence_text(evidence: Mapping[str, object]) -> str:
    """Evidence in one line: ``signal SIGKILL; exited: etcd 4713, kubelet 4711``. Victims come one after another."""
    shown = ((str(key).replace("_", " "), value) for key, value in evidence.items())
    return "; ".join(f"{key}: {phrase(value)}" if _many(value) else f"{key} {value}" for key, value in shown)


def phrase(value: object) -> str:
    """What was seen of one victim, whole: ``signal SIGKILL; exited: etcd 4713, kubelet 4711``."""
    if _is_disturbance(value):
        links = value.get("links")
        return ": ".join([_disturbance(value), *([", ".join(map(str, links))] if isinstance(links, list) else [])])
    if not isinstance(value, dict):
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if any(map(_many, value.values())):
        return evidence_text(value)
    return ", ".join(f"{key} {item}" for key, item in value.items())


def _many(value: object) -> bool:
    return isinstance(value, dict | list | tuple)
