"""What an answer of an etcd member proves, and that requests are what etcd's JSON API wants."""

from __future__ import annotations

import json

import pytest

from ha.history.store import (
    Compact,
    Compare,
    Delete,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    StoreAnswer,
    StoreRequest,
    Txn,
    Version,
)
from ha.http import ConnectError, ConnectionLost, RequestTimeout, Response
from ha.workload.store_calls import body, interpret, key_of, path, type_of, unanswered

HEADER = {"revision": "9", "raft_term": "2"}
KV = {"key": "YQ==", "value": "dg==", "create_revision": "3", "mod_revision": "8", "version": "2", "lease": "7"}
VERSION = Version("a", "v", 3, 8, 2, 7)
READ, WRITE, RENEWAL = Range("a"), Put("a", "v"), LeaseKeepAlive(7)


def error(code: int, message: str, status: int = 503) -> Response:
    return Response(status, json.dumps({"code": code, "message": message, "error": message}).encode())


COMPACTED = error(11, "etcdserver: mvcc: required revision has been compacted", 400)
NO_LEASE = error(5, "etcdserver: requested lease not found", 404)
NO_LEADER = error(14, "etcdserver: no leader")
TIMED_OUT = error(14, "etcdserver: request timed out")


@pytest.mark.parametrize(
    ("request_", "where", "sent"),
    [
        (Range("a", "b", 5, serializable=True), "kv/range",
         {"key": "YQ==", "range_end": "Yg==", "revision": 5, "serializable": True}),
        (Put("a", "v", 7, prev_kv=True), "kv/put", {"key": "YQ==", "value": "dg==", "lease": 7, "prev_kv": True}),
        (Delete("a", "b"), "kv/deleterange", {"key": "YQ==", "range_end": "Yg=="}),
        (Compact(5), "kv/compaction", {"revision": 5}),
        (LeaseGrant(7, 3), "lease/grant", {"TTL": 3, "ID": 7}),
        (RENEWAL, "lease/keepalive", {"ID": 7}),
        (LeaseRevoke(7), "lease/revoke", {"ID": 7}),
        (
            Txn([Compare("a", "mod", "less", 5), Compare("b", "value", "not_equal", "v")], [Put("a", "w")], [READ]),
            "kv/txn",
            {
                "compare": [
                    {"key": "YQ==", "target": "MOD", "result": "LESS", "mod_revision": 5},
                    {"key": "Yg==", "target": "VALUE", "result": "NOT_EQUAL", "value": "dg=="},
                ],
                "success": [{"request_put": {"key": "YQ==", "value": "dw=="}}],
                "failure": [{"request_range": {"key": "YQ=="}}],
            },
        ),
    ],
)  # fmt: skip
def test_a_request_is_as_etcd_wants_it(request_: StoreRequest, where: str, sent: dict[str, object]) -> None:
    assert (path(request_), json.loads(body(request_))) == (f"/v3/{where}", sent)


@pytest.mark.parametrize(
    ("request_", "data", "expected"),
    [
        (READ, {"header": HEADER, "kvs": [KV], "count": "1"}, StoreAnswer(9, kvs=[VERSION], count=1)),
        (WRITE, {"header": HEADER, "prev_kv": KV}, StoreAnswer(9, kvs=[VERSION])),
        (Delete("a"), {"header": HEADER, "deleted": "1", "prev_kvs": [KV]}, StoreAnswer(9, kvs=[VERSION], count=1)),
        (Compact(5), {"header": HEADER}, StoreAnswer(9)),
        (LeaseGrant(7, 1), {"header": HEADER, "ID": "7", "TTL": "2"}, StoreAnswer(9, ttl_s=2)),
        (RENEWAL, {"result": {"header": HEADER, "ID": "7", "TTL": "2"}}, StoreAnswer(ttl_s=2)),
        (LeaseRevoke(7), {"header": HEADER}, StoreAnswer(9)),
        (
            Txn(),
            {
                "header": HEADER,
                "succeeded": True,
                "responses": [
                    {"response_put": {"header": {"revision": "9"}}},
                    {"response_range": {"header": {"revision": "9"}, "kvs": [KV], "count": "1"}},
                ],
            },
            StoreAnswer(9, succeeded=True, responses=[StoreAnswer(), StoreAnswer(kvs=[VERSION], count=1)]),
        ),
    ],
)
def test_an_answer_is_kept_whole(request_: StoreRequest, data: dict[str, object], expected: StoreAnswer) -> None:
    reply = interpret(request_, Response(200, json.dumps(data).encode()))
    assert (reply.outcome, reply.answer) == ("ok", expected)


@pytest.mark.parametrize(
    ("request_", "response", "outcome", "refusal"),
    [
        (READ, COMPACTED, "fail", "compacted"),
        (Compact(5), COMPACTED, "fail", "compacted"),
        (WRITE, NO_LEASE, "fail", "lease-not-found"),
        (WRITE, NO_LEADER, "fail", "other"),
        (READ, TIMED_OUT, "fail", None),
        (WRITE, TIMED_OUT, "info", None),
        (WRITE, error(14, "etcdserver: leader changed"), "info", None),
        (WRITE, Response(502, b"<html>"), "info", None),
        (WRITE, Response(200, b"{"), "info", None),
        (READ, Response(200, b"{"), "fail", None),
        (LeaseRevoke(7), NO_LEASE, "fail", "lease-not-found"),
        (RENEWAL, Response(200, b'{"result":{"header":{},"ID":"7"}}'), "fail", "lease-not-found"),
        # The member may have passed it on to a leader that did renew.
        (RENEWAL, NO_LEADER, "info", None),
    ],
)
def test_a_refusal_is_definite_only_if_it_says_so(
    request_: StoreRequest, response: Response, outcome: str, refusal: str | None
) -> None:
    reply = interpret(request_, response)
    assert (reply.outcome, reply.refusal, reply.answer) == (outcome, refusal, None)


def test_no_connection_is_definite_and_a_lost_one_is_not() -> None:
    assert unanswered(ConnectError("refused")).outcome == "fail"
    for lost in (ConnectionLost("reset"), RequestTimeout("late")):
        assert unanswered(lost).outcome == "info"


def test_what_is_no_text_any_more_is_shown_as_it_is() -> None:
    """A flipped bit must reach the checker as something that nobody wrote."""
    data = {"header": HEADER, "kvs": [{**KV, "value": "/w=="}], "count": "1"}
    answer = interpret(READ, Response(200, json.dumps(data).encode())).answer
    assert answer is not None
    assert answer.kvs[0].value == "\\xff"


def test_an_operation_is_named_for_people() -> None:
    txn = Txn([Compare("a", "mod", "equal", 1)], [Put("a", "v"), Put("b", "w")], [Range("c")])
    assert [(type_of(r), key_of(r)) for r in (txn, Range("a", "b"), Compact(5), RENEWAL)] == [
        ("txn", "a b c"),
        ("read", "[a, b)"),
        ("compact", "revision 5"),
        ("lease", "lease 7"),
    ]
