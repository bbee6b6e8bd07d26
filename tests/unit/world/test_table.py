"""Which starts are admitted, and what becomes of process groups."""

import pytest

from ha.world import ProcessInfo
from ha.world.real.table import Table


def info(name: str, pid: int) -> ProcessInfo:
    return ProcessInfo(name=name, pid=pid, program="m:f")


@pytest.fixture
def table() -> Table:
    return Table({"a": "127.1.1.10", "b": "127.1.1.11"})


def start(table: Table, name: str, pid: int, *, boot: bool = False) -> int:
    node = table.node("a")
    table.admit(node, name, boot=boot)
    return table.add(node, info(name, pid))


def test_a_node_that_is_down_starts_nothing_but_by_boot(table: Table) -> None:
    with pytest.raises(ValueError, match="down"):
        start(table, "x", 1)
    start(table, "x", 1, boot=True)
    start(table, "y", 2)
    assert [process.name for process in table.node("a").listing()] == ["x", "y"]


def test_a_name_is_unique_while_its_process_runs(table: Table) -> None:
    start(table, "x", 1, boot=True)
    with pytest.raises(ValueError, match="already"):
        start(table, "x", 2)
    table.remove(1)
    start(table, "x", 3)


def test_a_killed_node_cannot_boot_before_its_last_process_is_gone(table: Table) -> None:
    start(table, "x", 1, boot=True)
    table.node("a").up = False
    with pytest.raises(ValueError, match="going down: x"):
        start(table, "y", 2, boot=True)
    table.remove(1)
    start(table, "y", 2, boot=True)


def test_the_group_outlives_its_leader_and_ends_with_its_last_member(table: Table) -> None:
    assert start(table, "x", 1, boot=True) == 1
    assert start(table, "y", 2) == 1
    table.remove(1)
    assert start(table, "x", 3) == 1
    table.remove(2)
    table.remove(3)
    assert start(table, "x", 4) == 4


def test_each_incarnation_of_a_name_has_a_number(table: Table) -> None:
    node = table.node("a")
    assert table.admit(node, "x", boot=True) == 1
    start(table, "x", 1, boot=True)
    table.remove(1)
    assert table.admit(node, "x", boot=False) == 2
    assert table.admit(node, "y", boot=False) == 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x" * 300, "ü"])
def test_a_name_that_cannot_be_a_file_is_refused(table: Table, name: str) -> None:
    with pytest.raises(ValueError, match="not a process name"):
        table.admit(table.node("a"), name, boot=True)


@pytest.mark.parametrize("name", ["etcd", "default_web-7d4b9c-x2x_nginx", "a.b"])
def test_names_of_containers_are_admitted(table: Table, name: str) -> None:
    assert table.admit(table.node("a"), name, boot=True) == 1


def test_what_does_not_exist_is_looked_up_in_vain(table: Table) -> None:
    with pytest.raises(LookupError):
        table.node("c")
    with pytest.raises(LookupError, match="nothing runs on node a"):
        table.node("a").select(None)
    with pytest.raises(LookupError, match="no process 'x' runs on node a"):
        table.node("a").select("x")
    assert table.remove(99) is None
