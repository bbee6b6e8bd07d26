"""``ha check`` from the command line: verdicts, what is shown, where pictures go, and what is wrong with input.

``HA_HISTORIES`` may name a directory with more recorded histories, in the form of ``tests/data/histories``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import process_time
from xml.etree import ElementTree as ET

import pytest

from ha.check.judgement import judge
from ha.cli import exits
from ha.cli.main import main
from ha.history.formats import detect
from ha.history.jsonl import encode_line
from ha.history.store import Put, Range, StoreAnswer, StoreCall, Version
from tests.unit.check.ops import create, op, read

RECORDED = Path(__file__).parents[2] / "data" / "histories"
COLLECTIONS = [RECORDED, *map(Path, filter(None, [os.environ.get("HA_HISTORIES")]))]
LONGEST_S = 0.05


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(*arguments: str | Path) -> int:
    return main(["check", *map(str, arguments)])


def ours(path: Path, *operations) -> Path:
    path.write_bytes(b"".join(map(encode_line, operations)))
    return path


STALE = (create("a", "1", 5, 0, 1), create("b", "1", 7, 2, 3), read("b", None, 0, 4, 5))


# Verdicts


@pytest.mark.parametrize("root", COLLECTIONS)
def test_recorded_histories_have_their_verdicts(root, capsys):
    expected = json.loads((root / "verdicts.json").read_text())
    assert check("--json", *(root / name for name in expected)) == exits.FAILED
    found = json.loads(capsys.readouterr().out)["histories"]
    assert {one["file"]: one["verdict"] for one in found} == {
        str(root / name): "linearizable" if known["linearizable"] else "not linearizable"
        for name, known in expected.items()
    }
    assert [one["operations"] for one in found] == [known["ops"] for known in expected.values()]
    assert all(2 <= len(one["counterexample"]) <= 60 for one in found if one["verdict"] == "not linearizable")


@pytest.mark.parametrize("root", COLLECTIONS)
def test_checking_a_recorded_history_takes_no_time(root):
    """In time of the processor: others may use the machine as well."""
    for file in [*root.glob("jepsen/*"), *root.glob("kv/*")]:
        data = file.read_bytes()
        known = detect(data, str(file))
        assert known is not None
        history = known.read(data, str(file), lambda _: None)
        taken_s = []
        for _ in range(3):
            begun_s = process_time()
            judge(history)
            taken_s.append(process_time() - begun_s)
        assert min(taken_s) < LONGEST_S, file


@pytest.mark.parametrize(
    ("name", "code"),
    [("jepsen/etcd_002.log", exits.OK), ("jepsen/etcd_090.log", exits.FAILED), ("kv/c01-ok.txt", exits.OK)],
)
def test_exit_code_is_the_verdict(name, code):
    assert check(RECORDED / name) == code


@pytest.mark.parametrize("content", ["", "\n", '{"workload": "r", "cl'])
def test_of_nothing_nothing_is_said(content, tmp_path, capsys):
    (tmp_path / "empty.log").write_text(content)
    assert check("empty.log") == exits.BAD_INPUT
    assert "holds no operation" in capsys.readouterr().err


def test_a_run_directory_is_told_from_its_history(tmp_path, capsys):
    assert check(tmp_path) == exits.BAD_INPUT
    assert "history.jsonl" in capsys.readouterr().err


def test_exhausted_budget_is_undecided(capsys):
    assert check(RECORDED / "jepsen" / "etcd_057.log", "--budget", "5") == exits.INCONCLUSIVE
    out = capsys.readouterr().out
    assert "? Undecided" in out
    assert "Undecided after 5 configurations, when the budget was used up: register" in out
    assert "--budget N allows more" in out


def test_exhausted_memory_is_told_from_an_exhausted_budget(capsys, monkeypatch):
    monkeypatch.setattr("ha.check.search.MEMORY_BYTES", 10_000)
    hard = RECORDED / "jepsen" / "etcd_057.log"
    assert check(hard) == exits.INCONCLUSIVE
    out = capsys.readouterr().out
    assert "MiB of memory: register" in out
    assert "A larger --budget does not help" in out
    assert check(hard, RECORDED / "jepsen" / "etcd_002.log") != exits.OK
    out = capsys.readouterr().out
    assert "undecided: memory used up" in out
    assert "A larger --budget does not help" in out


def test_operations_on_the_store_are_held_against_its_model(tmp_path, capsys):
    def at(start_s, request, answer):
        call = StoreCall(member="etcd-1", request=request, answer=answer)
        type_ = "write" if isinstance(request, Put) else "read"
        return op(type_, "a", start_s, start_s + 1, store=call)

    put = at(0, Put("a", "1"), StoreAnswer(revision=5))
    seen = at(2, Range("a"), StoreAnswer(revision=5, kvs=[Version("a", "1", 5, 5, 1)], count=1))
    lost = at(4, Range("a"), StoreAnswer(revision=5))
    assert check(ours(tmp_path / "good.jsonl", put, seen)) == exits.OK
    assert "by the store's model" in capsys.readouterr().out
    assert check(ours(tmp_path / "bad.jsonl", put, seen, lost)) == exits.FAILED
    assert "an acknowledged write is not there" in capsys.readouterr().out


def test_store_whose_puts_write_one_value_cannot_be_judged(tmp_path, capsys):
    """Nobody can tell which of them was seen."""
    puts = [
        op(
            "write",
            "a",
            n,
            n + 1,
            store=StoreCall(member="m", request=Put("a", "1"), answer=StoreAnswer(revision=n + 2)),
        )
        for n in range(2)
    ]
    assert check(ours(tmp_path / "x.jsonl", *puts)) == exits.BAD_INPUT
    assert capsys.readouterr().err.startswith(f"ha: {tmp_path}/x.jsonl: cannot be judged: '1' is written twice")


# What is shown


def test_violation_shows_the_few_guilty_operations_and_the_picture(tmp_path, capsys):
    assert check(RECORDED / "jepsen" / "etcd_090.log") == exits.FAILED
    out = capsys.readouterr().out
    assert "✗ Not linearizable" in out
    assert "87 operations (jepsen)" in out
    assert [line.split()[:5] for line in out.splitlines() if line.startswith("✗   ")] == [
        ["✗", "client", "2", "read", "->"]
    ]
    assert "picture   counterexample-etcd_090.svg" in out
    assert ET.parse(tmp_path / "counterexample-etcd_090.svg").getroot().tag.endswith("svg")


def test_violation_of_revisions_is_drawn_as_well(tmp_path, capsys):
    assert check(ours(tmp_path / "history.jsonl", *STALE), "--svg", "deep/here.svg") == exits.FAILED
    assert "Lost: b existed from before the read began, yet was absent" in capsys.readouterr().out
    assert "cx-guilty" in (tmp_path / "deep" / "here.svg").read_text()


def test_linearizable_history_leaves_no_picture(tmp_path):
    assert check(RECORDED / "kv" / "c01-ok.txt", "--svg", "x.svg") == exits.OK
    assert list(tmp_path.iterdir()) == []


def test_several_histories_are_a_table_and_pictures_go_to_a_directory(tmp_path, capsys):
    run = ours(tmp_path / "history.jsonl", *STALE)
    (tmp_path / "other").mkdir()
    other = ours(tmp_path / "other" / "history.jsonl", *STALE)
    good, bad = RECORDED / "kv" / "c01-ok.txt", RECORDED / "kv" / "c10-bad.txt"
    assert check(run, other, good, bad, "--out", "pictures") == exits.FAILED
    out = capsys.readouterr().out
    assert "4 histories: 1 linearizable, 3 not linearizable" in out
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "c10-bad.svg", "other-history.svg", f"{tmp_path.name}-history.svg"
    ]  # fmt: skip


def test_table_tells_which_history_is_torn(tmp_path, capsys):
    whole, torn = ours(tmp_path / "whole.jsonl", STALE[0]), ours(tmp_path / "torn.jsonl", STALE[0])
    torn.write_bytes(torn.read_bytes() + b'{"workload":')
    assert check(whole, torn) == exits.OK
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if ".jsonl" in line}
    assert "without its torn last line" in lines["torn.jsonl"]
    assert "torn" not in lines["whole.jsonl"]


def test_json_tells_all(tmp_path, capsys):
    assert check(ours(tmp_path / "history.jsonl", *STALE), "--json") == exits.FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "ha/check/v1"
    (one,) = found["histories"]
    assert (one["format"], one["verdict"], one["operations"], one["unit"]) == ("ha", "not linearizable", 3, "s")
    assert one["picture"] == "counterexample-history.svg"
    assert [act["guilty"] for act in one["counterexample"]] == [False, True]


# What is wrong


def test_bad_line_is_told_with_its_place_and_the_others_are_judged(tmp_path, capsys):
    (tmp_path / "bad.log").write_text("INFO  jepsen.util - 0\t:invoke\t:read\tnil\nnonsense\n")
    assert check("bad.log", RECORDED / "kv" / "c01-ok.txt") == exits.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err.startswith("ha: bad.log:2: is no line of Jepsen: 'nonsense'; allowed: INFO  jepsen.util - ")
    assert "✓ Linearizable" in captured.out


def test_unknown_content_is_bad_input(tmp_path, capsys):
    (tmp_path / "x").write_text("who knows\n")
    assert check("x") == exits.BAD_INPUT
    assert "ha: x:1: is the first line of no known format" in capsys.readouterr().err


def test_format_can_be_given(tmp_path, capsys):
    assert check(RECORDED / "kv" / "c01-ok.txt", "--format", "jepsen") == exits.BAD_INPUT
    assert "c01-ok.txt:1: is no line of Jepsen" in capsys.readouterr().err


def test_missing_file_is_bad_input_and_the_others_are_judged(capsys):
    assert check(RECORDED / "kv" / "c01-ok.txt", "nowhere.log") == exits.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err == "ha: nowhere.log: cannot be read: No such file or directory\n"
    assert "✓ Linearizable" in captured.out
