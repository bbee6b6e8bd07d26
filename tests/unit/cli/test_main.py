"""Exit codes are verdicts: what is none must not look like one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ha.cli import exits, run
from ha.cli.errors import CommandError
from ha.cli.main import _parser, main
from ha.cli.places import note_size
from ha.experiment import worlds
from ha.world.real import WorldLostError
from ha.world.real.foreign import ForeignProgramError


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 3)])
def test_each_verdict_has_its_exit_code(verdict: str, code: int) -> None:
    assert exits.of_verdict(verdict) == code


def test_a_defect_of_ours_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(run, "scenario", broken)
    assert main(["run", "stacked-3"]) == exits.INCONCLUSIVE
    assert "ZeroDivisionError: ours" in capsys.readouterr().err


def test_a_broken_pipe_of_ours_is_no_reader_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_args: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(run, "scenario", broken)
    assert main(["run", "stacked-3"]) == exits.INCONCLUSIVE
    assert "a defect of ha itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "ha: /x/y: No space left on device\n"),
        (ExceptionGroup("", [OSError(errno.EIO, "Input/output error")]), "ha: Input/output error\n"),
        (
            ExceptionGroup("", [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.EIO, "Input/output error")]),
            "ha: Input/output error\n",
        ),
    ],
)
def test_what_the_machine_refuses_is_neither_a_verdict_nor_our_defect(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_args: object) -> None:
        raise error

    monkeypatch.setattr(run, "scenario", refused)
    assert main(["run", "stacked-3"]) == exits.INCONCLUSIVE
    assert capsys.readouterr().err == says


def test_a_run_directory_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "single-node", "--out", str(tmp_path / "file")]) == exits.BAD_INPUT
    assert "is not a directory" in capsys.readouterr().err


def test_a_lost_world_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def lost(**_arguments: object) -> None:
        raise WorldLostError("the zygote died")

    monkeypatch.setattr(worlds, "real", lost)
    assert main(["run", "single-node", "--out", str(tmp_path / "run")]) == exits.INCONCLUSIVE
    said = capsys.readouterr().err
    assert "the zygote died" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("flags", [[], ["--world", "sim"], ["--engine", "pysyncobj-stock", "--world", "real"]])
def test_the_command_that_repeats_a_run_is_that_run(flags: list[str]) -> None:
    given = ["run", "my files/a shape.yaml", "--chaos", "it's.yaml", *flags, "--seed", "7"]
    arguments = _parser().parse_args(given)
    assert _parser().parse_args(["run", *run._words(arguments, 7)]) == arguments


def test_a_seed_that_nobody_gave_is_in_the_command_that_repeats_a_run() -> None:
    arguments = _parser().parse_args(["run", "stacked-3"])
    assert run._words(arguments, 7) == ["stacked-3", "--seed", "7"]


@pytest.mark.parametrize("seed", ["-1", "x", "", "1.5", str(2**53 + 1)])
def test_a_seed_is_a_number_that_json_keeps(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "stacked-3", f"--seed={seed}"])
    assert ended.value.code == exits.BAD_INPUT
    assert f"{seed!r} is no integer from 0 to 9007199254740992" in capsys.readouterr().err


def test_a_run_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert main(["run", "single-node", "--out", str(tmp_path)]) == exits.BAD_INPUT
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_inputs_of_one_name_are_both_kept(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.yaml").write_text(folder)
    (tmp_path / "run").mkdir()
    run._keep_inputs(tmp_path / "run", [tmp_path / "a" / "x.yaml", tmp_path / "b" / "x.yaml"])
    kept = {path.name: path.read_text() for path in (tmp_path / "run" / "inputs").iterdir()}
    assert kept == {"x.yaml": "a", "2-x.yaml": "b"}


def test_a_command_error_keeps_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise CommandError("no", exits.BAD_INPUT)

    monkeypatch.setattr(run, "scenario", refused)
    assert main(["run", "x"]) == exits.BAD_INPUT


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_machine_without_the_real_etcd_is_told_before_anything_starts(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def missing(_asked: str | None) -> None:
        raise ForeignProgramError("this machine has no etcd", "an etcd")

    monkeypatch.setattr(worlds, "find_etcd", missing)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main([command, "stacked-3", "--engine", "etcd"]) == exits.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith("ha: stacked-3: etcd.engine: this machine has no etcd; allowed: an etcd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_machine_without_haproxy_is_told_before_anything_starts(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def missing(_asked: str | None) -> None:
        raise ForeignProgramError("this machine has no HAProxy", "the package haproxy")

    monkeypatch.setattr(worlds, "find_haproxy", missing)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main([command, "stacked-3", "--load-balancer", "haproxy"]) == exits.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith("ha: stacked-3: load_balancer.engine: this machine has no HAProxy; allowed: the package")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stacked-3", "--world", "sim"], "load_balancer.engine: virtual time runs our own components only"),
        (["single-node"], "load_balancer.engine: 'single-node' has no load balancer"),
        (["stacked-3", "--chaos", "isolate-etcd-leader"], "faults[0].target: a partition acts inside our own"),
    ],
)
def test_what_haproxy_cannot_be_used_for_is_refused_with_the_reason(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments, "--load-balancer", "haproxy"]) == exits.BAD_INPUT
    assert says in capsys.readouterr().err


def test_a_binary_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.yaml"
    header = "apiVersion: ha/v1\nkind: Topology\nname: mine\nnodes: [{role: control-plane}]\n"
    file.write_text(header + "etcd: {engine: etcd, binary: bin/etcd}\n")
    assert main(["run", str(file), "--out", str(tmp_path / "run")]) == exits.BAD_INPUT
    assert f"{file}: etcd.binary: {tmp_path}/bin/etcd cannot be executed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "stacked-3", "--world", "sim"], "etcd.engine: virtual time runs our own components only"),
        (["run", "stacked-3", "--chaos", "isolate-etcd-leader"], "faults[0].target: a partition acts inside our own"),
        (["run", "external-3", "--chaos", "disk-error"], "etcd on etcd-1"),
        (["fuzz", "etcd-3", "--seeds", "1", "--mutant", "vote-twice"], "etcd.engine: virtual time runs our own"),
    ],
)
def test_what_the_real_etcd_cannot_take_is_refused_with_the_reason(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--engine", "etcd"]) == exits.BAD_INPUT
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_left_much_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "disks").mkdir()
    file = (tmp_path / "disks" / "journal").open("wb")
    with file:
        os.posix_fallocate(file.fileno(), 0, 200 << 20)
        note_size(tmp_path)
        assert capsys.readouterr().err == ""
        os.posix_fallocate(file.fileno(), 200 << 20, 200 << 20)
    note_size(tmp_path)
    assert capsys.readouterr().err.startswith(f"ha: note: {tmp_path} takes 400 MiB")
