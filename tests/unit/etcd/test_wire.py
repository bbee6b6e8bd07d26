"""The JSON of the API. That it equals real etcd's is `test_differential`'s business."""

import orjson
import pytest

from ha.etcd.answers import PutAnswer, RangeAnswer, TxnAnswer, read_answer, read_error
from ha.etcd.api import (
    Compare,
    DeleteResult,
    KeyValue,
    PutRequest,
    PutResult,
    RangeRequest,
    RangeResult,
    RequestOp,
    TxnRequest,
    TxnResult,
    prefix_end,
)
from ha.etcd.errors import CompactedError, EtcdError, EtcdTimeoutError, EtcdUnavailableError, FutureRevisionError
from ha.etcd.wire import Encoder, MalformedError, decode, encode_error, encode_stream_error, split_values

ENCODER = Encoder(11, 2**64 - 1)
KV = KeyValue(b"\0k", b"\xff" * 5, 2, 2**62, 3, -7)


def test_both_spellings_of_field_names_are_read() -> None:
    snake = b'{"compare":[{"key":"YQ==","target":"MOD","mod_revision":"5"}],"success":[{"request_put":{"key":"YQ=="}}]}'
    camel = b'{"compare":[{"key":"YQ==","target":"MOD","modRevision":"5"}],"success":[{"requestPut":{"key":"YQ=="}}]}'
    expected = TxnRequest([Compare(b"a", "MOD", mod_revision=5)], [RequestOp(request_put=PutRequest(b"a"))])
    assert decode(TxnRequest, snake) == decode(TxnRequest, camel) == expected


def test_enumerations_are_read_as_numbers_too_and_nulls_as_nothing() -> None:
    body = b'{"key":"YQ==","sort_order":2,"sort_target":3,"limit":null,"range_end":null}'
    assert decode(RangeRequest, body) == RangeRequest(b"a", sort_order="DESCEND", sort_target="MOD")


def test_a_value_that_looks_like_a_field_name_does_not_matter() -> None:
    assert decode(PutRequest, b'{"key":"abCd","value":"abCd"}') == PutRequest(b"i\xb0\x9d", b"i\xb0\x9d")


def test_unknown_fields_are_ignored() -> None:
    assert decode(RangeRequest, b'{"key":"YQ==","new_in_etcd_4":[1]}') == RangeRequest(b"a")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"key":5}', b'{"key":"YQ"}', b'{"sort_order":9}', b'{"revision":"x"}'])
def test_what_is_not_a_request_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(RangeRequest, body)


def test_values_that_follow_each_other_are_told_apart() -> None:
    assert split_values(b' {"a":"}{"}{"b":[1]}\n {} ') == [b'{"a":"}{"}', b'{"b":[1]}', b"{}"]
    assert split_values(b"") == []
    with pytest.raises(MalformedError):
        split_values(b'{"a":1}{')


def test_an_answer_comes_back_as_it_was() -> None:
    for kind, result in (
        (RangeAnswer, RangeResult([KV], more=True, count=9, revision=2**62)),
        (PutAnswer, PutResult(5, KV)),
        (PutAnswer, PutResult(5)),
    ):
        assert read_answer(kind, ENCODER.operation(result, 3)).result() == result


def test_a_transaction_comes_back_with_all_its_responses() -> None:
    result = TxnResult(
        succeeded=True,
        revision=7,
        responses=[
            RangeResult([KV], more=False, count=1, revision=6),
            PutResult(7, KV),
            DeleteResult(7, 1, [KV]),
            TxnResult(succeeded=False, revision=0, responses=[PutResult(7)]),
        ],
    )
    assert read_answer(TxnAnswer, ENCODER.operation(result, 3)).result() == result


def test_zero_fields_are_left_out() -> None:
    answer = orjson.loads(ENCODER.operation(RangeResult([], more=False, count=0, revision=1), 0))
    assert answer == {"header": {"cluster_id": "11", "member_id": str(2**64 - 1), "revision": "1"}}


def test_a_tombstone_has_a_key_and_a_revision() -> None:
    answer = orjson.loads(ENCODER.operation(PutResult(1, KeyValue(b"a", mod_revision=4)), 0))
    assert answer["prev_kv"] == {"key": "YQ==", "mod_revision": "4"}


def test_a_reason_is_quoted() -> None:
    line = orjson.loads(ENCODER.watch_canceled(5, 1, -1, reason='say "no"', created=True))
    assert line["result"]["cancel_reason"] == 'say "no"'


def test_errors_have_code_message_and_status() -> None:
    status, body = encode_error(5, 'no "lease"')
    assert (status, orjson.loads(body)) == (404, {"error": 'no "lease"', "code": 5, "message": 'no "lease"'})
    line = orjson.loads(encode_stream_error(14, "etcdserver: no leader"))
    assert line["error"] == {
        "grpc_code": 14,
        "http_code": 503,
        "message": "etcdserver: no leader",
        "http_status": "Service Unavailable",
    }


@pytest.mark.parametrize(
    ("code", "message", "kind", "definite"),
    [
        (11, "etcdserver: mvcc: required revision has been compacted", CompactedError, True),
        (11, "etcdserver: mvcc: required revision is a future revision", FutureRevisionError, True),
        (14, "etcdserver: no leader", EtcdUnavailableError, True),
        (14, "etcdserver: leader changed", EtcdUnavailableError, False),
        (14, "etcdserver: request timed out", EtcdTimeoutError, False),
        (14, "etcdserver: request timed out, possibly due to connection lost", EtcdTimeoutError, False),
        (8, "etcdserver: too many requests", EtcdError, True),
        (3, "etcdserver: key is not provided", EtcdError, True),
        (2, "raft: stopped", EtcdError, False),
    ],
)
def test_an_answered_error_says_whether_the_request_had_an_effect(
    code: int, message: str, kind: type[EtcdError], *, definite: bool
) -> None:
    error = read_error(*encode_error(code, message))
    assert type(error) is kind
    assert (error.code, error.message, error.definite) == (code, message, definite)


def test_an_error_that_is_not_json_keeps_its_text() -> None:
    error = read_error(404, b"Not Found\n")
    assert error.definite
    assert "404: Not Found" in error.message
    assert not read_error(502, b"<html>").definite


def test_an_answer_that_is_none_is_an_error() -> None:
    with pytest.raises(EtcdError, match="malformed answer"):
        read_answer(RangeAnswer, b'{"kvs":')


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"/x/", b"/x0"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")]
)
def test_the_end_of_a_prefix_is_the_next_string_that_lacks_it(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end
