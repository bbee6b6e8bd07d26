"""Operations on registers and maps of any store, without revisions: values are all that was seen of it.

Histories of other tools are read as these (`ha.history.formats`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ha.history import Outcome

__all__ = ["Call", "CallType"]

CallType: TypeAlias = Literal["read", "write", "cas", "append", "create", "delete"]
"""cas: write where `expected` is there · append: to the text that is there · create: where nothing is · delete."""


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One operation of one client on one key. Times are in any unit that orders them; what meets is concurrent.

    `value` is what was read, written or appended; None: nothing was there. Of outcome *fail* a write was certainly
    not done, a cas found something else than it expected. *info*: it may take effect at any time from `start` on, or
    never.
    """

    client: str
    key: str
    type: CallType
    value: str | None = None
    expected: str | None = None
    start: float
    end: float | None = None
    outcome: Outcome
