import pytest

from ha.kube import meta
from ha.kube.kinds import REPLICA_SET


def test_times_are_written_as_kubernetes_writes_them() -> None:
    seconds = 1795405752.881923
    assert meta.timestamp(seconds) == "2026-11-23T03:49:12Z"
    assert meta.micro_time(seconds) == "2026-11-23T03:49:12.881923Z"
    assert meta.parse_time(meta.micro_time(seconds)) == pytest.approx(seconds, abs=1e-6)
    assert meta.parse_time("2026-11-23T03:49:12Z") == int(seconds)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T03:49:12"])
def test_a_time_without_a_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Ii]nvalid|without a zone"):
        meta.parse_time(text)


def test_an_object_without_metadata_has_empty_names() -> None:
    assert meta.object_key({}) == ("", "")
    assert (meta.uid_of({}), meta.resource_version({}), meta.labels_of({}), meta.deleting({})) == ("", 0, {}, False)


def test_an_owner_reference_names_the_controller() -> None:
    owner = {"metadata": {"name": "web-1", "uid": "u"}}
    reference = meta.owner_reference(owner, REPLICA_SET)
    assert reference == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web-1",
        "uid": "u",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    other = {"kind": "Other", "uid": "x"}
    assert meta.controller_of({"metadata": {"ownerReferences": [other, reference]}}) == reference
    assert meta.controller_of({"metadata": {"ownerReferences": [other]}}) is None
