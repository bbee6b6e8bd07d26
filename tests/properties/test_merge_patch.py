import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha.kube.patch import merge_patch

# RFC 7386, appendix A: original, patch, result.
RFC_CASES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("original", "patch", "result"), RFC_CASES)
def test_merge_patch_follows_the_examples_of_its_rfc(original: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(original)
    assert merge_patch(original, patch) == result
    assert original == before


def values(*, nulls: bool) -> st.SearchStrategy[Any]:
    leaves = st.booleans() | st.integers(0, 9) | st.sampled_from(["x", "y"])
    leaves = leaves | st.none() if nulls else leaves
    keys = st.sampled_from("abc")
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner), max_leaves=8)


def reference(target: Any, patch: Any) -> Any:
    """The pseudo-code of RFC 7386, section 2, word by word."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        target = dict(target)
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = reference(target.get(name), value)
        return target
    return patch


@given(values(nulls=True), values(nulls=True))
def test_merge_patch_is_the_pseudo_code_of_its_rfc(target: Any, patch: Any) -> None:
    assert merge_patch(target, patch) == reference(target, patch)


@given(values(nulls=False), values(nulls=True))
def test_applying_a_merge_patch_twice_changes_nothing_more(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(values(nulls=False))
def test_a_document_without_nulls_patches_nothing_into_itself(document: Any) -> None:
    assert merge_patch(None, document) == document
    assert merge_patch(document, document) == document
