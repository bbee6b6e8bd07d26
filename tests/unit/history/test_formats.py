from __future__ import annotations

import pytest

from ha.history import Operation
from ha.history.formats import detect, registry
from ha.history.jsonl import HistoryFormatError, encode_line
from ha.history.store import Put, StoreCall
from tests.unit.check.ops import create, op, read, unknown, write

INFO = "INFO  jepsen.util - "
JEPSEN = f"{INFO}0\t:invoke\t:read\tnil\n{INFO}0\t:ok\t:read\tnil\n"
KV = """\
{:process 0, :type :invoke, :f :get, :key "a", :value nil}
{:process 0, :type :ok, :f :get, :key "a", :value ""}
"""


def history(text: str | bytes, source: str = "h"):
    data = text.encode() if isinstance(text, str) else text
    known = detect(data, source)
    assert known is not None
    return known.read(data, source, lambda _: None)


def ours(*operations: Operation) -> bytes:
    return b"".join(map(encode_line, operations))


def refused(text: str | bytes, *, line: int, says: str) -> None:
    with pytest.raises(HistoryFormatError, match=says) as refusal:
        history(text, "a/file")
    message = str(refusal.value)
    assert message.startswith(f"a/file:{line}: ")
    assert "; allowed: " in message


# Which one it is


@pytest.mark.parametrize(
    ("text", "name"), [(JEPSEN, "jepsen"), (KV, "kv"), (ours(read("a", None, 0, 0, 1)).decode(), "ha")]
)
def test_format_shows_in_the_first_line(text, name):
    for data in (text, "\n\n" + text, text.split("\n")[0]):
        found = detect(data.encode(), "h")
        assert found is not None
        assert found.name == name


def test_empty_file_has_no_format():
    assert detect(b"", "h") is None
    assert detect(b"\n \n", "h") is None


def test_other_content_is_refused_with_all_that_is_allowed():
    with pytest.raises(HistoryFormatError, match="a/file:2: is the first line of no known format: 'hello'") as refusal:
        detect(b"\nhello\n", "a/file")
    for name in registry():
        assert f"{name}: " in str(refusal.value)


def test_every_format_reads_nothing_from_nothing():
    for known in registry().values():
        assert len(known.read(b"", "h", lambda _: None)) == 0


# Jepsen's log


def test_jepsen_outcomes():
    read_history = history(
        f"{INFO}0\t:invoke\t:write\t3\n"
        f"{INFO}1\t:invoke\t:cas\t[3 4]\n"
        f"{INFO}2\t:invoke\t:read\tnil\n"
        f"{INFO}0\t:ok\t:write\t3\n"
        f"{INFO}1\t:fail\t:cas\t[3 4]\n"
        f"{INFO}2\t:fail\t:read\t:timed-out\n"
        f"{INFO}0\t:invoke\t:write\t5\n"
        f"{INFO}0\t:info\t:write\t:timed-out\n"
        f"{INFO}0\t:invoke\t:read\tnil\n"
        f"{INFO}0\t:ok\t:read\tnil\n"
        f"{INFO}1\t:invoke\t:write\t6\n"
    )
    assert read_history.initial is None
    assert [(c.client, c.type, c.expected, c.value, c.outcome, c.start, c.end) for c in read_history.calls] == [
        ("0", "write", None, "3", "ok", 1, 4),
        ("1", "cas", "3", "4", "fail", 2, 5),
        ("2", "read", None, None, "fail", 3, 6),
        ("0", "write", None, "5", "info", 7, None),
        ("0", "read", None, None, "ok", 9, 10),
        ("1", "write", None, "6", "info", 11, None),
    ]


def test_jepsen_lines_of_others_are_no_operations():
    assert len(history(f"{INFO}:nemesis\t:info\t:start\tnil\nINFO  jepsen.core - Running test\n{JEPSEN}")) == 1


def test_log_without_any_operation_is_not_taken_for_one_of_jepsen():
    """A log of something else, or of another logger of Jepsen, would be acquitted for saying nothing."""
    text = "\nINFO  jepsen.core - Running test\nINFO  jepsen.worker - 0\t:invoke\t:read\tnil\n"
    refused(text, line=2, says="no line of this log is an operation")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"{INFO}0\t:invoke\t:write\tx", "has a wrong value"),
        (f"{INFO}0\t:invoke\t:cas\t4", "has a wrong value"),
        (f"{INFO}0\t:invoke\t:delete\t4", "is no line of Jepsen"),
        (f"{INFO}0 :invoke :read nil", "is no line of Jepsen"),
        (f"{INFO}7\t:ok\t:read\t1", "process 7 completes what it did not begin"),
        ("what is this", "is no line of Jepsen"),
    ],
)
def test_jepsen_line_that_cannot_be_is_refused(line, says):
    refused(f"{JEPSEN}{line}\n", line=3, says=says)


@pytest.mark.parametrize(
    ("asked", "answered"), [(":write\t1", ":write\t2"), (":cas\t[1 2]", ":cas\t[1 3]"), (":cas\t[1 2]", ":cas\t[0 2]")]
)
def test_jepsen_write_that_is_answered_as_another_is_refused(asked, answered):
    text = f"INFO  jepsen.util - 0\t:invoke\t{asked}\nINFO  jepsen.util - 0\t:ok\t{answered}\n"
    refused(text, line=2, says="completes with other values than it began in line 1")


def test_process_has_one_operation_at_a_time():
    refused(
        f"{INFO}0\t:invoke\t:write\t1\n{INFO}0\t:invoke\t:read\tnil\n", line=2, says="while that of line 1 is not over"
    )
    refused(f"{INFO}0\t:invoke\t:write\t1\n{INFO}0\t:ok\t:read\t1\n", line=2, says="another operation than it began")


# Maps of texts


def test_kv_operations_and_escapes():
    found = history(
        KV
        + '{:process 1, :type :invoke, :f :put, :key "a b", :value "say \\"x\\"\\n"}\n'
        + '{:process 1, :type :ok, :f :put, :key "a b", :value "say \\"x\\"\\n"}\n'
        + '{:process 2, :type :invoke, :f :append, :key "a", :value ""}\n'
    )
    assert found.initial == ""
    assert [(c.type, c.key, c.value, c.outcome) for c in found.calls] == [
        ("read", "a", "", "ok"),
        ("write", "a b", 'say "x"\n', "ok"),
        ("append", "a", "", "info"),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{:process 1, :type :invoke, :f :put, :key "a", :value nil}', "has no value"),
        ('{:process 1, :type :invoke, :f :delete, :key "a", :value nil}', "is no line of the kv format"),
        ('{:process 1, :type :ok, :f :get, :key "a", :value "x"}', "completes what it did not begin"),
        ('{:process 1, :type :invoke, :f :get, :key "a"}', "is no line of the kv format"),
    ],
)
def test_kv_line_that_cannot_be_is_refused(line, says):
    refused(f"{KV}{line}\n", line=3, says=says)


# Ours


def test_ours_becomes_columns_and_back():
    operations = [create("a", "1", 5, 0, 1), read("b", None, 0, 2, 3), unknown("cas", "a", "2", 4, expected=5)]
    found = history(ours(*operations))
    assert found.columns is not None
    assert [found.columns.operation(row) for row in range(3)] == operations
    assert found.columns.keys == ["a", "b"]
    assert found.columns.revision.tolist() == [5, 0, -1]
    assert found.columns.end_s.tolist() == [1, 3, float("inf")]


def test_ours_in_many_chunks(monkeypatch):
    operations = [write("a", f"{n}", n + 1, n, n + 0.5) for n in range(100)]
    monkeypatch.setattr("ha.history.formats.ha._CHUNK_BYTES", 700)
    told = []
    found = registry()["ha"].read(ours(*operations), "h", told.append)
    assert found.columns is not None
    assert [found.columns.operation(row) for row in range(100)] == operations
    assert told[-1] == 100
    assert len(told) > 10


def test_operations_on_a_store_stay_apart():
    call = StoreCall(member="etcd-1", request=Put("a", "1"))
    store = op("write", "a", 0, None, "info", store=call)
    found = history(ours(create("a", "1", 5, 0, 1), store, read("a", "1", 5, 2, 3)))
    assert found.columns is not None
    assert list(found.store) == [store]
    assert len(found) == 3
    assert found.columns.operation(1).type == "read"


def test_history_that_tells_no_revision_is_one_of_values():
    found = history(
        ours(
            op("write", "a", 0, 1, value="1"),
            op("read", "a", 2, 3, value="1"),
            op("read", "b", 2, 3, client=1, revision=0),
            op("read", "b", 4, 5, "fail", client=1),
            op("create", "c", 6, 7, "fail", value="1"),
            op("delete", "a", 8, None, "info"),
        )
    )
    assert found.columns is None
    assert [(c.client, c.type, c.key, c.value, c.outcome) for c in found.calls] == [
        ("register 0", "write", "a", "1", "ok"),
        ("register 0", "read", "a", "1", "ok"),
        ("register 1", "read", "b", None, "ok"),
        ("register 0", "delete", "a", None, "info"),
    ]


def test_last_line_without_a_newline_counts_if_it_is_whole():
    """Else a history that ends with what convicts it would be acquitted."""
    found = history(ours(create("a", "1", 5, 0, 1), read("a", None, 0, 2, 3)).rstrip(b"\n"))
    assert not found.torn
    assert len(found) == 2
    assert found.columns is not None
    assert found.columns.operation(1) == read("a", None, 0, 2, 3)


def test_last_line_that_was_not_written_to_its_end_is_left_out():
    found = history(ours(create("a", "1", 5, 0, 1)) + b'{"workload":')
    assert found.torn
    assert len(found) == 1


@pytest.mark.parametrize(
    ("completed_s", "says"), [(1, "is answered before it is asked"), (None, "has an outcome and no completed_s")]
)
def test_operation_on_the_store_that_cannot_be_is_refused(completed_s, says):
    call = StoreCall(member="m", request=Put("a", "1"))
    refused(ours(create("a", "1", 5, 0, 1), op("write", "a", 2, completed_s, "ok", store=call)), line=2, says=says)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"read"', b'"peek"', "Invalid enum value 'peek'"),
        (b'"revision":5', b'"revision":-5', "Expected `int` >= 0"),
        (b'"revision":5', b'"revision":"5"', r"Expected `int \| null`, got `str`"),
        (b'"invoked_s":2,', b"", "missing required field `invoked_s`"),
        (b'"invoked_s":2', b'"invoked_s":2,"valeu":"x"', "unknown field `valeu`"),
        (b'"revision":5', b'"revision":0', "is a read that saw a value where nothing was"),
        (b'"revision":5', b'"revision":9223372036854775807', "Expected `int` <= 9223372036854775806"),
        (b'"read"', b'"cas"', "is a cas that demands nothing"),
        (b'"completed_s":3', b'"completed_s":1', "is answered before it is asked"),
        (b'"completed_s":3', b'"completed_s":null', "has an outcome and no completed_s"),
        (b'"type":"read"', b'"type":"txn"', "is an operation on a store, and does not say what was asked"),
        (b"{", b"", "Expected `object`, got `str`"),
        (b"}", b"", "Input data was truncated"),
        (b'{"workload"', b'\n{"workload"', "is an empty line"),
    ],
)
def test_line_of_ours_that_cannot_be_is_refused(old, new, says):
    line = ours(read("a", "1", 5, 2, 3))
    assert old in line
    refused(ours(create("a", "1", 5, 0, 1)) + line.replace(old, new, 1), line=2, says=says)


@pytest.mark.parametrize("others", [(), (create("b", "1", 5, 0, 1),)])
def test_read_that_does_not_say_what_it_saw_is_refused(others):
    """With revisions and without: left out, it might have been what convicts the history."""
    refused(ours(*others, op("read", "a", 2, 3)), line=1 + len(others), says="does not say what it saw")


def test_client_has_one_operation_at_a_time():
    first = write("a", "1", 5, 0, 3)
    refused(ours(first, read("a", "1", 5, 2, 4)), line=2, says="client 0 of register begins .* that of line 1")
    assert len(history(ours(first, read("a", "1", 5, 2, 4, client=1)))) == 2
    assert len(history(ours(first, read("a", "1", 5, 3, 4)))) == 2


def test_what_nobody_answered_does_not_hold_its_client_up():
    assert len(history(ours(unknown("write", "a", "1", 0, 3), create("a", "2", 5, 2, 4)))) == 2
