"""Our member's gateway against that of a real etcd: the same requests, the same answers, field by field.

`CONVERSATION` is one sequence; both stores begin empty, so revisions, versions, counts and errors must be
equal all along. Left out of the comparison are identities (cluster, member, term) and what the real one
leaves to chance (the order of leases and of their keys, time that passed).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from ha import http
from tests.unit.etcd.support import Asking, Sockets, b64, our_member, real_etcd

RANGE, PUT, DELETE, TXN, COMPACT = (f"/v3/kv/{name}" for name in ("range", "put", "deleterange", "txn", "compaction"))
GRANT, REVOKE, ALIVE, TTL, LEASES = (
    f"/v3/lease/{name}" for name in ("grant", "revoke", "keepalive", "timetolive", "leases")
)
A, B, C, D, X, ZERO, NO = (b64(key) for key in ("a", "b", "c", "d", "x", "\0", "no"))
ALL = {"key": ZERO, "range_end": ZERO}


def put(key: str, value: str = "", **more: Any) -> dict[str, Any]:
    return {"request_put": {"key": key, "value": b64(value), **more}}


def get(key: str, **more: Any) -> dict[str, Any]:
    return {"request_range": {"key": key, **more}}


def delete(key: str, **more: Any) -> dict[str, Any]:
    return {"request_delete_range": {"key": key, **more}}


def when(key: str, target: str, result: str = "EQUAL", **more: Any) -> dict[str, Any]:
    return {"key": key, "target": target, "result": result, **more}


def nested(**txn: Any) -> dict[str, Any]:
    return {"request_txn": txn}


CONVERSATION: list[tuple[str, object]] = [
    (RANGE, {"key": A}),
    (RANGE, ALL),
    (DELETE, {"key": A}),
    (TXN, {}),
    # puts
    (PUT, {"key": A, "value": b64("1")}),
    (PUT, {"key": A, "value": b64("2"), "prev_kv": True}),
    (PUT, {"key": A, "prev_kv": True}),
    (PUT, {"key": A, "value": b64("3"), "ignore_value": True}),
    (PUT, {"key": A, "value": b64("3")}),
    (PUT, {"key": A, "ignore_value": True, "prev_kv": True}),
    (PUT, {"key": NO, "ignore_value": True}),
    (PUT, {"key": NO, "ignore_lease": True}),
    (PUT, {"key": A, "lease": "9", "ignore_lease": True}),
    (PUT, {"key": A, "lease": "9"}),
    (PUT, {"key": A, "lease": "-9"}),
    (PUT, {}),
    (PUT, {"value": A}),
    # ranges
    (PUT, {"key": B, "value": b64("b1")}),
    (PUT, {"key": D, "value": b64("a1")}),
    (PUT, {"key": C, "value": b64("c1")}),
    (PUT, {"key": B, "value": b64("z2")}),
    (RANGE, {}),
    (RANGE, {"key": A}),
    (RANGE, {"key": A, "keys_only": True}),
    (RANGE, {"key": A, "count_only": True}),
    (RANGE, {"key": NO, "count_only": True}),
    (RANGE, {"key": A, "range_end": C}),
    (RANGE, {"key": A, "range_end": A}),
    (RANGE, {"key": C, "range_end": A}),
    (RANGE, {"key": B, "range_end": ZERO}),
    (RANGE, {**ALL, "limit": "2"}),
    (RANGE, {**ALL, "limit": 4}),
    (RANGE, {**ALL, "limit": 0}),
    (RANGE, {**ALL, "limit": -1}),
    (RANGE, {**ALL, "limit": 1, "count_only": True}),
    (RANGE, {**ALL, "limit": 1, "keys_only": True}),
    *[
        (RANGE, {**ALL, "sort_target": target, "sort_order": order})
        for target in ("KEY", "CREATE", "MOD", "VALUE")
        for order in ("NONE", "ASCEND", "DESCEND")
    ],
    (RANGE, {**ALL, "sort_target": "VERSION", "sort_order": "DESCEND", "limit": 2}),
    (RANGE, {**ALL, "sort_target": "MOD", "sort_order": "DESCEND", "limit": 1}),
    (RANGE, {**ALL, "sort_target": 3, "sort_order": 2}),
    (RANGE, {**ALL, "sort_order": "UP"}),
    (RANGE, {**ALL, "min_mod_revision": "8"}),
    (RANGE, {**ALL, "max_mod_revision": "8", "limit": 1}),
    (RANGE, {**ALL, "min_create_revision": "8", "count_only": True}),
    (RANGE, {**ALL, "max_create_revision": "8"}),
    (RANGE, {**ALL, "min_mod_revision": "8", "limit": 1}),
    (RANGE, {**ALL, "revision": "8"}),
    (RANGE, {**ALL, "revision": 8, "limit": 1}),
    (RANGE, {"key": B, "revision": 7}),
    (RANGE, {"key": B, "revision": 1}),
    (RANGE, {"key": B, "revision": 999}),
    (RANGE, {"key": B, "revision": -1}),
    (RANGE, {"key": B, "serializable": True}),
    (RANGE, {"key": B, "rangeEnd": ZERO, "sortOrder": "DESCEND", "keysOnly": True}),
    (RANGE, {"key": B, "range_end": None, "limit": None}),
    (RANGE, {"key": B, "unheard_of": {"x": [1]}}),
    (RANGE, b""),
    # comparisons
    *[
        (TXN, {"compare": [when(B, target, result, **field)]})
        for result in ("EQUAL", "NOT_EQUAL", "GREATER", "LESS")
        for target, field in (
            ("VERSION", {"version": "2"}),
            ("VERSION", {}),
            ("CREATE", {"create_revision": "7"}),
            ("CREATE", {"create_revision": "8"}),
            ("MOD", {"mod_revision": "10"}),
            ("VALUE", {"value": b64("z2")}),
            ("VALUE", {"value": b64("a")}),
            ("VALUE", {}),
            ("LEASE", {"lease": "0"}),
        )
    ],
    *[
        (TXN, {"compare": [when(NO, target, result)]})
        for result in ("EQUAL", "NOT_EQUAL", "GREATER", "LESS")
        for target in ("VERSION", "CREATE", "MOD", "VALUE", "LEASE")
    ],
    *[
        (TXN, {"compare": [when(B, "MOD", result, mod_revision="8", range_end=range_end)]})
        for result in ("EQUAL", "NOT_EQUAL", "GREATER", "LESS")
        for range_end in (C, D, ZERO)
    ],
    (TXN, {"compare": [when(X, "VALUE", range_end=ZERO)]}),
    (TXN, {"compare": [when(X, "VERSION", range_end=ZERO)]}),
    (TXN, {"compare": [when(B, "MOD", "GREATER", version="5")]}),
    (TXN, {"compare": [{"target": "VERSION"}]}),
    (TXN, {"compare": [when(A, "VERSION", "GREATER"), when(NO, "CREATE")], "success": [get(A)], "failure": [get(B)]}),
    (TXN, {"compare": [when(A, "VERSION", "LESS"), when(NO, "CREATE")], "success": [get(A)], "failure": [get(B)]}),
    (
        TXN,
        {"compare": [{"key": A, "target": "CREATE", "createRevision": "2"}], "success": [{"requestRange": {"key": A}}]},
    ),
    # transactions
    (
        TXN,
        {"success": [put(A, "4"), get(A), put(X, "1", prev_kv=True), delete(B, prev_kv=True), get(A, range_end=ZERO)]},
    ),
    (TXN, {"success": [get(A), delete(NO)]}),
    (TXN, {"success": [delete(NO), get(A)]}),
    (TXN, {"success": [get(A, revision="8"), get(A, serializable=True)]}),
    (TXN, {"success": [put(C, "5"), put(C, "6")]}),
    (TXN, {"success": [put(C, "5"), delete(C)]}),
    (TXN, {"success": [put(C, "5"), delete(A, range_end=D)]}),
    (TXN, {"success": [put(D, "5"), delete(A, range_end=D)]}),
    (TXN, {"success": [delete(A, range_end=ZERO), put(C, "6")]}),
    (TXN, {"success": [put(C, "7"), delete(A, range_end=ZERO)]}),
    (RANGE, ALL),
    (TXN, {"success": [put(A, "1"), put(NO, ignore_value=True)]}),
    (TXN, {"success": [put(A, "1"), put(B, lease="77")]}),
    (TXN, {"success": [put(A, "1"), get(B, revision="999")]}),
    (TXN, {"success": [put(A, "1"), put("")]}),
    (TXN, {"success": [{}]}),
    (TXN, {"success": [get("")]}),
    (TXN, {"failure": [delete("")]}),
    (TXN, {"success": [put(A)] * 129}),
    (TXN, {"success": [get(A)] * 128}),
    (TXN, {"success": [get(A)] * 129}),
    (TXN, {"success": [nested(success=[get(A)] * 128)]}),
    (TXN, {"success": [nested(success=[get(A)] * 127)]}),
    (RANGE, ALL),
    # nested transactions
    (TXN, {"success": [put(X, "n"), nested(compare=[when(X, "VERSION")], success=[put(A, "n")], failure=[put(B)])]}),
    (TXN, {"success": [nested(compare=[when(X, "VERSION")], success=[put(A, "n")], failure=[put(B)]), get(B)]}),
    (TXN, {"success": [nested(success=[put(B)], failure=[put(B)]), nested(success=[put(C)])]}),
    (TXN, {"success": [nested(success=[put(B)]), nested(success=[put(B)])]}),
    (TXN, {"success": [nested(success=[put(B)]), put(B)]}),
    (TXN, {"success": [nested(success=[put(B)]), delete(B)]}),
    (TXN, {"success": [nested(success=[delete(B)]), put(B)]}),
    (TXN, {"success": [nested(success=[delete(B)]), nested(success=[put(B)])]}),
    (TXN, {"success": [nested(success=[put(B)]), nested(success=[delete(B)])]}),
    (TXN, {"success": [nested(success=[nested(success=[put(B), get(B)])])]}),
    (TXN, {"success": [nested(compare=[when("", "VERSION")])]}),
    (TXN, {"success": [nested(success=[put(D, lease="5")])]}),
    # deletions
    (DELETE, {}),
    (DELETE, {"key": NO, "prev_kv": True}),
    (DELETE, {"key": A, "range_end": B, "prev_kv": True}),
    (DELETE, {"key": A, "range_end": ZERO}),
    (DELETE, ALL),
    (PUT, {"key": A, "value": b64("again")}),
    (RANGE, {"key": A}),
    # leases
    (GRANT, {"ID": "1234", "TTL": "60"}),
    (GRANT, {"ID": "1234", "TTL": "60"}),
    (GRANT, {"ID": "-5", "TTL": "100"}),
    (GRANT, {"ID": "6", "TTL": "9000000000"}),
    (GRANT, {"ID": "7", "TTL": "9000000001"}),
    (REVOKE, {"ID": "6"}),
    (PUT, {"key": B, "value": b64("l"), "lease": "1234"}),
    (PUT, {"key": A, "value": b64("l"), "lease": "1234", "prev_kv": True}),
    (TXN, {"compare": [when(A, "LEASE", lease="1234")], "success": [put(D, "l", lease="1234")]}),
    (TXN, {"compare": [when(A, "LEASE", "GREATER", lease="1233")]}),
    (PUT, {"key": D, "value": b64("m"), "ignore_lease": True}),
    (RANGE, ALL),
    (TTL, {"ID": "1234"}),
    (TTL, {"ID": "1234", "keys": True}),
    (TTL, {"ID": 1234, "keys": True}),
    (PUT, {"key": A, "value": b64("free")}),
    (DELETE, {"key": D}),
    (TTL, {"ID": "1234", "keys": True}),
    (TTL, {"ID": "99"}),
    (TTL, {}),
    (LEASES, {}),
    ("/v3/kv/lease/leases", {}),
    ("/v3/kv/lease/timetolive", {"ID": "1234"}),
    (ALIVE, {"ID": "1234"}),
    (ALIVE, {"ID": "99"}),
    (ALIVE, {}),
    (REVOKE, {"ID": "1234"}),
    ("/v3/kv/lease/revoke", {"ID": "1234"}),
    (REVOKE, {"ID": "-5"}),
    (REVOKE, {}),
    (RANGE, ALL),
    # compaction
    (COMPACT, {"revision": "999"}),
    (COMPACT, {"revision": "12"}),
    (COMPACT, {"revision": "12", "physical": True}),
    (COMPACT, {"revision": "11"}),
    (COMPACT, {}),
    (COMPACT, {"revision": "-1"}),
    (RANGE, {"key": A, "revision": "11"}),
    (RANGE, {**ALL, "revision": "12"}),
    (TXN, {"success": [put(A, "1"), get(A, revision="11")]}),
    (RANGE, ALL),
    ("/v3/cluster/member/list", {}),
    ("/v3/no/such", {}),
]

MALFORMED: list[object] = [
    b"nonsense",
    b"[]",
    b'{"key":',
    {"key": 1},
    {"key": "!!"},
    {"key": "YQ"},
    {"key": "YQ="},
    {"key": "-_8="},
    {"key": A, "revision": "x"},
    {"key": A, "limit": 5.5},
    {"key": A, "sort_order": "UP"},
]

WATCHES: list[tuple[bytes | dict[str, Any], int]] = [
    ({"key": A, "start_revision": "2"}, 3),
    ({"key": A, "start_revision": "2", "prev_kv": True}, 3),
    ({**ALL, "start_revision": "3", "prev_kv": True}, 6),
    ({"key": A, "range_end": C, "start_revision": "2"}, 4),
    ({**ALL, "start_revision": "2", "filters": ["NOPUT"]}, 1),
    ({**ALL, "start_revision": "2", "filters": ["NODELETE"]}, 6),
    ({**ALL, "start_revision": "2", "filters": [0, 1]}, 1),
    ({"key": A, "start_revision": "999", "watch_id": "7"}, 1),
    ({"key": A}, 1),
    ({}, 1),
    ({"key": C, "range_end": A}, 1),
    ({"key": A, "range_end": A}, 1),
]


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Asking, Asking]]:
    """Ours and the real one, both new."""
    async with AsyncExitStack() as stack:
        theirs = await stack.enter_async_context(real_etcd(tmp_path))
        fast = our_member(tmp_path, heartbeat_s=0.02, election_s=0.2, progress_s=0.2)
        ours = await stack.enter_async_context(fast)
        clients = http.Client(Sockets(), ours), http.Client(Sockets(), theirs)
        yield Asking(clients[0]), Asking(clients[1])
        for client in clients:
            await client.aclose()


def comparable(answer: Any) -> Any:
    """An answer without what may differ."""
    if isinstance(answer, list):
        return [comparable(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    dropped = {"cluster_id", "member_id", "raft_term", "peerURLs", "clientURLs"}
    answer = {name: comparable(value) for name, value in answer.items() if name not in dropped}
    if "members" in answer:
        answer["members"] = len(answer["members"])
    if "leases" in answer:
        answer["leases"] = sorted(lease["ID"] for lease in answer["leases"])
    if "grantedTTL" in answer:
        answer["TTL"] = answer["grantedTTL"]
        answer["keys"] = sorted(answer.get("keys", ()))
    return answer


async def test_a_conversation_gets_the_same_answers_as_from_a_real_etcd(both: tuple[Asking, Asking]) -> None:
    ours, theirs = both
    differences = []
    for path, body in CONVERSATION:
        (our_status, our_answer), (status, answer) = await ours.ask(path, body), await theirs.ask(path, body)
        if (our_status, comparable(our_answer)) != (status, comparable(answer)):
            is_wording = our_status == status == 400 and our_answer.get("code") == answer.get("code") == 3
            if not (is_wording and "unknown value" in answer["message"]):
                differences.append(f"{path} {body!r}\n ours {our_status} {our_answer}\n real {status} {answer}")
    assert not differences, "\n".join(differences)


async def test_malformed_requests_are_refused_with_the_same_status_and_code(both: tuple[Asking, Asking]) -> None:
    ours, theirs = both
    for body in MALFORMED:
        (our_status, our_answer), (status, answer) = await ours.ask(RANGE, body), await theirs.ask(RANGE, body)
        assert (our_status, our_answer["code"]) == (status, answer["code"]), body
        assert set(our_answer) == set(answer)


async def prepare_watches(peer: Asking) -> None:
    for key, value in ((A, "1"), (B, "1"), (A, "2"), (C, "1")):
        await peer.ask(PUT, {"key": key, "value": b64(value)})
    await peer.ask(DELETE, {"key": A})
    await peer.ask(TXN, {"success": [put(A, "3"), put(B, "2")]})


async def test_watches_tell_the_same_as_those_of_a_real_etcd(both: tuple[Asking, Asking]) -> None:
    for peer in both:
        await prepare_watches(peer)
    heard: list[list[Any]] = [[] for _ in range(2 * len(WATCHES))]

    async def collect(index: int, body: Any, events: int) -> None:
        heard[index] = comparable(await both[index % 2].watch(body, until=events))

    async with trio.open_nursery() as nursery:
        for index in range(len(heard)):
            request, events = WATCHES[index // 2]
            nursery.start_soon(collect, index, {"create_request": request}, events)
    for index, (request, _) in enumerate(WATCHES):
        assert heard[2 * index] == heard[2 * index + 1], request


async def test_several_requests_on_one_watch_stream_are_answered_alike(both: tuple[Asking, Asking]) -> None:
    messages = [
        {"create_request": {"key": A, "start_revision": "2"}},
        {"create_request": {"key": B, "start_revision": "2"}},
        {"cancel_request": {"watch_id": "1"}},
        {"progress_request": {}},
    ]
    body = b"".join(orjson.dumps(message) for message in messages)
    ids = []
    for peer in both:
        await prepare_watches(peer)
        lines = await peer.watch(body, until=99)
        results = [line["result"] for line in lines]
        ids.append(
            (
                [r.get("watch_id", "0") for r in results if r.get("created")],
                [r.get("watch_id", "0") for r in results if r.get("canceled")],
                any(r.get("watch_id") == "-1" for r in results),
            )
        )
    assert ids[0] == ids[1] == (["0", "1"], ["1"], True)


async def test_a_watch_of_a_compacted_revision_is_canceled_alike(both: tuple[Asking, Asking]) -> None:
    lines = []
    for peer in both:
        await prepare_watches(peer)
        await peer.ask(COMPACT, {"revision": "4"})
        lines.append(await peer.watch({"create_request": {"key": A, "start_revision": "2"}}, until=1))
    assert comparable(lines[0]) == comparable(lines[1])
    assert lines[0][-1]["result"]["compact_revision"] == "4"


async def test_progress_is_notified_alike(both: tuple[Asking, Asking]) -> None:
    lines = []
    for peer in both:
        await prepare_watches(peer)
        heard = await peer.watch({"create_request": {"key": A, "progress_notify": True}}, until=1)
        lines.append([comparable(heard[0]), comparable(heard[1])])
    assert lines[0] == lines[1]
