import pytest

from ha.kube.patch import PatchError, PatchSyntaxError, json_patch


def test_json_patch_applies_operations_in_order_and_leaves_the_document_alone() -> None:
    document = {"data": {"a": "1"}}
    patched = json_patch(
        document,
        [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "add", "path": "/data/z", "value": "9"},
            {"op": "remove", "path": "/data/a"},
        ],
    )
    assert patched == {"data": {"z": "9"}}
    assert document == {"data": {"a": "1"}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "2"},
        {"op": "remove", "path": "/data/nope"},
        {"op": "replace", "path": "/nope/a", "value": 1},
        {"op": "add", "path": "/data/a/b", "value": 1},
    ],
)
def test_json_patch_that_does_not_apply(operation: dict[str, object]) -> None:
    with pytest.raises(PatchError):
        json_patch({"data": {"a": "1"}}, [operation])


@pytest.mark.parametrize("operations", [{}, "x", [1], [{"op": "add"}], [{"op": "fly", "path": "/a"}], [{"path": "/a"}]])
def test_json_patch_that_is_none(operations: object) -> None:
    with pytest.raises(PatchSyntaxError):
        json_patch({}, operations)
