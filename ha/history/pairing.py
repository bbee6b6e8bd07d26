"""From lines that tell of invocations and completions to calls: the form in which Jepsen and its kin record.

A process has one operation at a time. One that was never completed is of unknown outcome; so is one that ended
``info``, after which its process may go on. Times are numbers of lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ha.history import Outcome
from ha.history.calls import Call, CallType

__all__ = ["Pairing", "PairingError"]


class PairingError(ValueError):
    """A line does not go with what its process did before."""


@dataclass(slots=True)
class Pairing:
    """The calls so far, in the order of invocation."""

    calls: list[Call] = field(default_factory=list)
    _open: dict[str, int] = field(default_factory=dict)

    def invoke(
        self, line: int, process: str, key: str, type_: CallType, value: str | None, expected: str | None
    ) -> None:
        """A process asks. Raises PairingError."""
        at = self._open.get(process)
        if at is not None:
            raise PairingError(
                f"process {process} begins an operation while that of line {self.calls[at].start:.0f} is not over"
            )
        self._open[process] = len(self.calls)
        self.calls.append(
            Call(client=process, key=key, type=type_, value=value, expected=expected, start=line, outcome="info")
        )

    def complete(
        self,
        line: int,
        process: str,
        key: str,
        type_: CallType,
        outcome: Outcome,
        value: str | None,
        expected: str | None = None,
    ) -> None:
        """A process is answered: what a read found, or again what was asked for. Raises PairingError."""
        at = self._open.pop(process, None)
        if at is None:
            raise PairingError(f"process {process} completes what it did not begin")
        call = self.calls[at]
        if (call.type, call.key) != (type_, key):
            raise PairingError(f"process {process} completes another operation than it began in line {call.start:.0f}")
        if type_ != "read":
            if outcome == "ok" and (value, expected) != (call.value, call.expected):
                raise PairingError(
                    f"process {process} completes with other values than it began in line {call.start:.0f}"
                )
            value = call.value
        end = None if outcome == "info" else float(line)
        self.calls[at] = msgspec.structs.replace(call, outcome=outcome, end=end, value=value)
