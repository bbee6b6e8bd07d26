"""What several commands take."""

from __future__ import annotations

import argparse

import msgspec

from ha.spec import Seed

__all__ = ["seed"]


def seed(text: str) -> int:
    """A seed, within what files take. Raises ArgumentTypeError."""
    try:
        return msgspec.convert(text, Seed, strict=False)
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 0 to {2**53}") from None
