"""Where a real etcd is found, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ha.world.real import foreign
from ha.world.real.doctor import examine
from ha.world.real.foreign import ForeignProgram, ForeignProgramError, find_etcd, find_haproxy
from tests.unit.etcd.support import etcd_binary


def executable(path: Path, says: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extra and without an etcd on the PATH."""
    monkeypatch.setattr(foreign, "_of_the_extra", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **_options: None)


def test_the_real_one_is_found_and_says_its_version() -> None:
    found = find_etcd(etcd_binary())
    assert found.path == etcd_binary()
    assert found.version.startswith("3.")


def test_the_one_that_was_asked_for_comes_first_then_the_extra_then_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, extra, path = (executable(tmp_path / name, f"etcd Version: 3.5.{i}") for i, name in enumerate("abc"))
    monkeypatch.setattr(shutil, "which", lambda _: path)
    monkeypatch.setattr(foreign, "_of_the_extra", lambda: extra)
    assert (find_etcd(asked), find_etcd()) == (ForeignProgram(asked, "3.5.0"), ForeignProgram(extra, "3.5.1"))
    monkeypatch.setattr(foreign, "_of_the_extra", lambda: None)
    assert find_etcd() == ForeignProgram(path, "3.5.2")


@pytest.mark.usefixtures("bare")
def test_a_machine_without_etcd_is_told_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ForeignProgramError, match="this machine has no etcd") as caught:
        find_etcd()
    assert "pip install 'ha-testbed[etcd]'" in caught.value.advice
    (finding,) = [finding for finding in examine(tmp_path) if finding.what == "etcd"]
    assert (finding.grade, finding.found) == ("missing", "this machine has no etcd (optional)")
    assert "pip install 'ha-testbed[etcd]'" in finding.advice


@pytest.mark.usefixtures("bare")
def test_a_machine_without_haproxy_is_told_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ForeignProgramError, match="this machine has no HAProxy"):
        find_haproxy()
    (finding,) = [finding for finding in examine(tmp_path) if finding.what == "haproxy"]
    assert (finding.grade, finding.found) == ("missing", "this machine has no HAProxy (optional)")
    assert "for engine: haproxy; the system's package haproxy" in finding.advice


@pytest.mark.parametrize("says", ["HAProxy version 2.6.12-1+deb12u3 2026/01/01 - x", "HA-Proxy version 2.2.9 2021/02"])
def test_haproxy_says_its_version(tmp_path: Path, says: str) -> None:
    path = executable(tmp_path / "haproxy", says)
    assert find_haproxy(path) == ForeignProgram(path, says.split()[2])


def test_haproxy_is_found_where_systems_keep_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/usr/sbin is not on everybody's PATH."""
    path = executable(tmp_path / "haproxy", "HAProxy version 2.6.12 2026")
    monkeypatch.setattr(foreign, "_SBIN", (str(tmp_path),))
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_haproxy().path == path


def test_a_haproxy_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForeignProgramError, match=r"is HAProxy 1\.8\.4") as caught:
        find_haproxy(executable(tmp_path / "it", "HA-Proxy version 1.8.4-1"))
    assert caught.value.advice == "HAProxy 2.2 or newer"


@pytest.mark.parametrize(
    ("says", "reason", "advice"),
    [
        ("etcd Version: 3.3.25", "is etcd 3.3.25", "etcd 3.4 or newer"),
        ("HAProxy version 2.6", "does not say that it is etcd", "etcd: {binary: PATH}"),
    ],
)
def test_a_program_that_will_not_do_is_refused(tmp_path: Path, says: str, reason: str, advice: str) -> None:
    with pytest.raises(ForeignProgramError, match=reason) as caught:
        find_etcd(executable(tmp_path / "it", says))
    assert advice in caught.value.advice


def test_a_file_that_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("etcd")
    for path in (tmp_path / "text", tmp_path / "nothing", tmp_path):
        with pytest.raises(ForeignProgramError, match="cannot be executed"):
            find_etcd(str(path))


def test_an_etcd_that_can_be_used_is_told_by_the_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = executable(tmp_path / "etcd", "etcd Version: 3.5.9")
    monkeypatch.setattr(foreign, "_of_the_extra", lambda: path)
    (finding,) = [finding for finding in examine(tmp_path) if finding.what == "etcd"]
    assert (finding.grade, finding.found) == ("ok", f"3.5.9, {path}")
