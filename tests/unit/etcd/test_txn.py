"""Order and atomicity of transactions; `test_differential` has the breadth."""

from ha.etcd.api import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResult,
    RequestOp,
    TxnRequest,
    TxnResult,
    request_ops,
)
from ha.etcd.errors import DUPLICATE_KEY, FUTURE_REVISION, KEY_NOT_FOUND, LEASE_NOT_FOUND
from ha.etcd.mvcc import Store
from ha.etcd.txn import check_txn, is_read_only, is_serializable, txn


def of(*ops: PutRequest | RangeRequest | DeleteRangeRequest | TxnRequest) -> TxnRequest:
    return TxnRequest(success=request_ops(ops))


def test_a_transaction_whose_later_operation_is_impossible_changes_nothing() -> None:
    for bad, fault in (
        (PutRequest(b"b", lease=7), LEASE_NOT_FOUND),
        (PutRequest(b"b", ignore_value=True), KEY_NOT_FOUND),
        (RangeRequest(b"b", revision=99), FUTURE_REVISION),
    ):
        store = Store()
        assert txn(store, (), of(PutRequest(b"a", b"1"), bad)) == fault
        assert not store.changed


def test_operations_see_the_changes_of_those_before_them() -> None:
    store = Store()
    answer = txn(
        store, (), of(PutRequest(b"a", b"1"), RangeRequest(b"a"), DeleteRangeRequest(b"x"), RangeRequest(b"a"))
    )
    assert isinstance(answer, TxnResult)
    read = answer.responses[1]
    assert isinstance(read, RangeResult)
    assert (read.count, read.revision) == (1, 2)


def test_comparisons_of_nested_transactions_see_the_state_before_the_whole() -> None:
    store = Store()
    inner = TxnRequest([Compare(b"a", "VERSION", version=0)], request_ops([PutRequest(b"was-absent")]))
    txn(store, (), of(PutRequest(b"a"), inner))
    store.commit()
    assert store.latest(b"was-absent") is not None


def test_both_branches_of_a_nested_transaction_may_put_a_key_but_not_two_siblings() -> None:
    either = TxnRequest([], request_ops([PutRequest(b"a")]), request_ops([PutRequest(b"a")]))
    assert check_txn(of(either)) is None
    assert check_txn(of(either, either)) == DUPLICATE_KEY


def test_a_transaction_that_only_reads_need_not_be_proposed() -> None:
    assert is_read_only(of(RangeRequest(b"a"), of(RangeRequest(b"b"))))
    assert not is_read_only(of(RangeRequest(b"a"), of(PutRequest(b"b"))))
    assert not is_read_only(TxnRequest(failure=request_ops([DeleteRangeRequest(b"b")])))


def test_a_transaction_is_serializable_only_if_each_read_is() -> None:
    assert is_serializable(of(RangeRequest(b"a", serializable=True)))
    assert not is_serializable(of(RangeRequest(b"a", serializable=True), RangeRequest(b"a")))


def test_an_operation_without_a_request_is_refused() -> None:
    assert check_txn(TxnRequest(success=[RequestOp()])) == KEY_NOT_FOUND
