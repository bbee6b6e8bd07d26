"""Figures as people read them, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping

from ha.history.result import ArrivalCounts, FaultRecord, Result, Unavailability, Verdict

__all__ = [
    "NOT_REACHED",
    "PHASE_NAMES",
    "VERDICT_WORDS",
    "bytes_text",
    "count",
    "evidence_summary",
    "evidence_text",
    "fault_title",
    "held",
    "judgements",
    "linearizable",
    "milliseconds",
    "outage",
    "phrase",
    "plural",
    "safety",
    "schedule",
    "seconds",
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

_FEW_VICTIMS = 3
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


def milliseconds(value: float | None) -> str:
    """Three significant figures or so."""
    if value is None:
        return "—"
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def bytes_text(value: int) -> str:
    """In MiB."""
    return f"{value / _MIB:.0f} MiB" if value >= 10 * _MIB else f"{value / _MIB:.1f} MiB"


def count(value: int) -> str:
    """With separators for thousands."""
    return f"{value:,}"


def plural(n: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def held(value: bool | None) -> tuple[str, str]:  # noqa: FBT001  (a truth value is what it words)
    """A sign and a word."""
    if value is None:
        return "?", "not measured"
    return ("✓", "held") if value else ("✗", "did not hold")


def linearizable(value: bool | None) -> str:  # noqa: FBT001
    """The outcome of the linearizability check."""
    return {True: "linearizable", False: "not linearizable", None: "undecided"}[value]


def judgements(result: Result) -> list[tuple[str, str, bool | None]]:
    """The safety checks and then the claims: what must hold, what was found, whether it does."""
    claims = [(_sentence(claim.expectation), claim.measured, claim.held) for claim in result.claims]
    return safety(result) + claims


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


def evidence_summary(evidence: Mapping[str, object]) -> str:
    """Evidence at a glance: ``control-plane-3: SIGKILL, 5 exited``; of many victims the first, and how many more."""
    shown = [f"{victim}: {_glance(seen)}" for victim, seen in list(evidence.items())[:_FEW_VICTIMS]]
    more = len(evidence) - len(shown)
    return "\n".join([*shown, f"and {more} more"] if more else shown)


def _glance(seen: object) -> str:
    """Counts for lists of processes, a name where there is only one; no numbers that mean nothing to people."""
    if not isinstance(seen, dict):
        return str(seen)
    parts = []
    for key, value in seen.items():
        if _many(value):
            parts.append(f"{next(iter(value))} {key}" if len(value) == 1 else f"{len(value)} {key}")
        elif isinstance(value, str):
            parts.append(value if key == "signal" else f"{key} {value}")
    return ", ".join(parts) or "attested"


def evidence_text(evidence: Mapping[str, object]) -> str:
    """Evidence in one line: ``signal SIGKILL; exited: etcd 4713, kubelet 4711``. Victims come one after another."""
    shown = ((str(key).replace("_", " "), value) for key, value in evidence.items())
    return "; ".join(f"{key}: {phrase(value)}" if _many(value) else f"{key} {value}" for key, value in shown)


def phrase(value: object) -> str:
    """What was seen of one victim, whole: ``signal SIGKILL; exited: etcd 4713, kubelet 4711``."""
    if not isinstance(value, dict):
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if any(map(_many, value.values())):
        return evidence_text(value)
    return ", ".join(f"{key} {item}" for key, item in value.items())


def _many(value: object) -> bool:
    return isinstance(value, dict | list | tuple)
