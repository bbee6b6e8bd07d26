from __future__ import annotations

from ha.check.durability import lost_writes, unverified_keys
from tests.unit.check.ops import cas, create, op, read, unknown, write


def lost(operations, *final_reads):
    return [(found.write, found.reason) for found in lost_writes(operations, final_reads)]


def test_creation_that_the_final_read_shows_is_safe():
    assert lost([create("a", "1", 5, 0, 1)], read("a", "1", 5, 9, 10)) == []


def test_acknowledged_creation_that_is_gone_is_lost():
    gone = create("a", "1", 5, 0, 1)
    found = lost_writes([gone, create("b", "2", 6, 2, 3)], [read("a", None, 0, 9, 10), read("b", "2", 6, 9, 10)])
    assert [f.write for f in found] == [gone]
    assert "create a = '1' -> ok, revision 5" in str(found[0])


def test_every_lost_creation_is_named():
    operations = [create(f"k{i}", str(i), 5 + i, i, i + 0.5) for i in range(3)]
    finals = [read(f"k{i}", None, 0, 9, 10) for i in range(3)]
    assert [write for write, _ in lost(operations, *finals)] == operations


def test_creation_of_unknown_outcome_may_be_gone():
    assert lost([unknown("create", "a", "1", 0)], read("a", None, 0, 9, 10)) == []


def test_deletion_explains_what_is_gone():
    creation = create("a", "1", 5, 0, 1)
    final = read("a", None, 0, 9, 10)
    assert lost([creation, op("delete", "a", 2, 3)], final) == []
    assert lost([creation, unknown("delete", "a", None, 2)], final) == []
    assert lost([creation, op("delete", "a", 2, 3, "fail")], final) != []


def test_deletion_before_the_creation_explains_nothing():
    first, deletion, second = create("a", "1", 5, 0, 1), op("delete", "a", 2, 3, revision=6), create("a", "2", 7, 4, 5)
    assert [write for write, _ in lost([first, deletion, second], read("a", None, 0, 9, 10))] == [second]


def test_superseded_value_is_not_lost():
    operations = [create("a", "1", 5, 0, 1), write("a", "2", 7, 2, 3), cas("a", "3", 7, 9, 4, 5)]
    assert lost(operations, read("a", "3", 9, 9, 10)) == []


def test_value_superseded_by_an_unknown_write_is_not_lost():
    operations = [create("a", "1", 5, 0, 1), unknown("write", "a", "2", 2)]
    assert lost(operations, read("a", "2", 8, 9, 10)) == []


def test_store_that_went_back_lost_what_came_after():
    operations = [create("a", "1", 5, 0, 1), write("a", "2", 7, 2, 3), write("a", "3", 8, 4, 5)]
    found = lost(operations, read("a", "1", 5, 9, 10))
    assert [write for write, _ in found] == operations[1:]
    assert {reason for _, reason in found} == {"the store went back to revision 5"}


def test_old_value_under_a_new_revision_is_no_legitimate_successor():
    operations = [create("a", "1", 5, 0, 1), write("a", "2", 7, 2, 3)]
    assert lost(operations, read("a", "1", 9, 9, 10)) == [
        (operations[1], "replaced at revision 9 by what nobody wrote there")
    ]


def test_write_replaced_by_a_cas_that_had_not_seen_it_is_lost():
    operations = [create("a", "1", 5, 0, 1), write("a", "2", 6, 2, 3), cas("a", "3", 5, 7, 4, 5)]
    found = lost(operations, read("a", "3", 7, 9, 10))
    assert [write for write, _ in found] == [operations[1]]


def test_unanswered_final_read_proves_nothing():
    creation = create("a", "1", 5, 0, 1)
    final = op("read", "a", 9, 10, "info")
    assert lost([creation], final) == []
    assert unverified_keys([creation], [final]) == ["a"]
    assert unverified_keys([creation], [read("a", "1", 5, 9, 10)]) == []


def test_key_without_an_acknowledged_write_needs_no_final_read():
    assert unverified_keys([unknown("create", "a", "1", 0), op("create", "b", 0, 1, "fail")], []) == []
