"""What a controller did that its copy does not show yet."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from ha.controlplane.controller_manager.expectations import Expectations


async def test_creation_counts_until_it_is_shown(autojump_clock: MockClock) -> None:
    expected = Expectations()
    expected.created("owner", "a")
    expected.created("owner", "b")
    assert expected.missing("owner", []) == 2
    assert expected.missing("owner", ["a"]) == 1
    expected.not_created("owner", "b")
    assert expected.missing("owner", []) == 1
    assert expected.missing("another", []) == 0


async def test_deletion_counts_until_it_is_shown(autojump_clock: MockClock) -> None:
    expected = Expectations()
    expected.deleted("owner", "u1")
    assert expected.deleting("owner") == {"u1"}
    expected.not_deleted("owner", "u1")
    assert expected.deleting("owner") == set()


async def test_what_never_comes_is_forgotten_and_somebody_looks_again_then(autojump_clock: MockClock) -> None:
    expected = Expectations()
    assert expected.wait_s("owner") is None
    expected.created("owner", "a")
    await trio.sleep(10)
    expected.deleted("owner", "u1")
    assert expected.wait_s("owner") == pytest.approx(20, abs=0.01)
    await trio.sleep(expected.wait_s("owner") or 0)
    assert expected.missing("owner", []) == 0
    assert expected.deleting("owner") == {"u1"}
    await trio.sleep(10)
    assert expected.wait_s("owner") is None


async def test_gone_owner_expects_nothing(autojump_clock: MockClock) -> None:
    expected = Expectations()
    expected.created("owner", "a")
    expected.deleted("owner", "u")
    expected.forget("owner")
    assert (expected.missing("owner", []), expected.deleting("owner")) == (0, set())
