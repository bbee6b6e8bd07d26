from __future__ import annotations

import pytest

from ha.history import FaultEvent, Operation, PhaseEvent
from ha.history.jsonl import HistoryFormatError, decode_events, decode_operations, decode_watches, encode_line
from ha.history.store import Version
from ha.history.watch import WatchBegun, WatchedEvent, WatchEnded, WatchTold

OPERATION = Operation(
    workload="register", client=3, type="cas", key="a", value="1", expected=4, invoked_s=0.25, outcome="info"
)


def test_operations_come_back_as_they_were():
    lines = decode_operations(encode_line(OPERATION) * 2)
    assert lines.items == [OPERATION, OPERATION]
    assert not lines.torn


def test_events_come_back_as_their_own_type():
    events = [
        PhaseEvent(at_s=1.0, phase="load"),
        FaultEvent(at_s=2.0, index=0, action="inject", fault="kill", target="etcd-leader", nodes=["control-plane-1"]),
    ]
    assert decode_events(b"".join(map(encode_line, events))).items == events


def test_what_watchers_were_told_comes_back_as_it_was():
    who = {"workload": "watch", "client": 1, "number": 0, "at_s": 1.5}
    records = [
        WatchBegun(**who, server="etcd-1", key="a", range_end="b", revision=4),
        WatchTold(**who, revision=5, events=[WatchedEvent("PUT", Version("a", "v", 5, 5, 1))]),
        WatchEnded(**who, reason="compacted", compact_revision=9),
    ]
    assert decode_watches(b"".join(map(encode_line, records))).items == records


def test_torn_last_line_is_dropped_and_said_to_be():
    whole = encode_line(OPERATION)
    for cut in range(1, len(whole)):
        lines = decode_operations(whole + whole[:cut])
        assert lines.items == [OPERATION]
        assert lines.torn


def test_bad_line_is_named_by_its_number():
    with pytest.raises(HistoryFormatError, match=r"run/history.jsonl:2: "):
        decode_operations(encode_line(OPERATION) + b"{}\n" + encode_line(OPERATION), source="run/history.jsonl")


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"\xff", b'{"event":"eclipse","at_s":1}'])
def test_what_is_no_record_is_refused(line):
    with pytest.raises(HistoryFormatError, match=":1: "):
        decode_events(line + b"\n")
