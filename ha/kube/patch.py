"""JSON Merge Patch (RFC 7386) and JSON Patch (RFC 6902).

Both are pure: the document that is passed in is never changed. JSON Patch is the `jsonpatch` library behind
an error type of our own; merge patch is eight lines and written here.
"""

from __future__ import annotations

from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

__all__ = ["PatchError", "PatchSyntaxError", "json_patch", "merge_patch"]


class PatchError(Exception):
    """The patch is well-formed and does not apply to this document (a failed test, a missing path)."""


class PatchSyntaxError(Exception):
    """The patch itself is malformed."""


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401  (any JSON value patches any JSON value)
    """RFC 7386, section 2: objects merge key by key, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(document: Any, operations: object) -> Any:  # noqa: ANN401  (any JSON value)
    """RFC 6902: apply every operation in order, or none. Raises PatchError or PatchSyntaxError."""
    if not isinstance(operations, list):
        raise PatchSyntaxError("a JSON patch is an array of operations")
    try:
        patch = jsonpatch.JsonPatch(operations)
    except (jsonpatch.InvalidJsonPatch, JsonPointerException, TypeError, AttributeError) as error:
        raise PatchSyntaxError(str(error)) from error
    try:
        return patch.apply(document)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError) as error:
        raise PatchError(str(error)) from error
