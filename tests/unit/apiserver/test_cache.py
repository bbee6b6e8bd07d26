import pytest

from ha.controlplane.apiserver.cache import Feed, ResourceCache
from ha.controlplane.apiserver.codec import Codec
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.store import Store, Stored
from ha.etcd.api import KeyValue, PutRequest, WatchBatch, WatchEvent
from ha.etcd.commands import encode
from ha.kube.kinds import CONFIG_MAP, ENDPOINTS, SERVICE
from tests.unit.apiserver.fake_etcd import FakeEtcd

RESOURCE = Resource(kind=CONFIG_MAP)


def stored(name: str, revision: int, **data: str) -> Stored:
    obj = {"metadata": {"name": name, "namespace": "default", "uid": name}, "data": data}
    return Stored(CONFIG_MAP.key("default", name), Codec.of(CONFIG_MAP).encode(obj), revision)


def put(cache: ResourceCache, name: str, revision: int) -> None:
    cache.put(cache.entry(stored(name, revision)))


def event(name: str, revision: int, *, delete: bool = False) -> WatchEvent:
    s = stored(name, revision)
    kv = KeyValue(s.key.encode(), b"" if delete else s.value, mod_revision=revision)
    return WatchEvent("DELETE" if delete else "PUT", kv)


def feed() -> Feed:
    resources = {kind: Resource(kind=kind) for kind in (CONFIG_MAP, SERVICE, ENDPOINTS)}
    return Feed(Store(FakeEtcd()), resources, log_size=4, log=lambda *_args, **_fields: None)


async def test_objects_are_kept_in_order_of_their_path() -> None:
    cache = ResourceCache(RESOURCE, log_size=4)
    for revision, name in enumerate("cab", start=1):
        put(cache, name, revision)
    cache.delete("default/a", 4)
    assert [e.path for e in cache.scan("default/")] == ["default/b", "default/c"]
    assert [e.path for e in cache.scan("other/")] == []
    assert cache.size == 2


async def test_a_cursor_reads_every_later_change_once() -> None:
    cache = ResourceCache(RESOURCE, log_size=100)
    for revision in (2, 4, 6):
        put(cache, "a", revision)
    cursor = cache.cursor(4)
    assert cursor is not None
    changes = cache.since(cursor)
    assert changes is not None
    assert [c.revision for c in changes] == [6]
    assert cache.since(cursor + 1) == []


async def test_a_position_before_the_log_is_too_old_and_never_silently_cut() -> None:
    cache = ResourceCache(RESOURCE, log_size=2)
    cursor = cache.cursor(0)
    assert cursor == 0
    for revision in range(1, 6):
        put(cache, "a", revision)
    assert cache.since(cursor) is None
    assert cache.oldest == 2
    assert cache.cursor(1) is None
    at_oldest = cache.cursor(2)
    assert at_oldest is not None
    assert [c.revision for c in cache.since(at_oldest) or []] == [3, 4, 5]


async def test_starting_anew_invalidates_every_cursor_even_one_at_the_end() -> None:
    cache = ResourceCache(RESOURCE, log_size=4)
    put(cache, "a", 1)
    end = cache.end
    cache.replace([cache.entry(stored("b", 7))], 9)
    assert cache.since(end) is None
    assert cache.cursor(8) is None
    assert cache.cursor(9) is not None
    assert [e.path for e in cache.scan()] == ["default/b"]


async def test_a_batch_that_was_applied_before_is_left_out() -> None:
    f = feed()
    cache = f.caches[CONFIG_MAP]
    f.apply(WatchBatch(5, [event("a", 4), event("b", 5)]))
    f.apply(WatchBatch(6, [event("b", 5), event("a", 6, delete=True)]))
    changes = cache.since(0)
    assert changes is not None
    assert [(c.type, c.revision) for c in changes] == [("ADDED", 4), ("ADDED", 5), ("DELETED", 6)]
    assert f.revision == 6


async def test_events_of_one_transaction_are_all_applied() -> None:
    f = feed()
    f.apply(WatchBatch(5, [event("a", 5), event("b", 5)]))
    assert f.caches[CONFIG_MAP].size == 2


async def test_the_feed_advances_on_changes_of_keys_that_are_no_objects() -> None:
    f = feed()
    kv = KeyValue(b"compact_rev_key", b"1", mod_revision=9)
    f.apply(WatchBatch(9, [WatchEvent("PUT", kv)]))
    assert f.revision == 9
    await f.reach(9)


async def test_a_value_that_is_no_object_is_left_out_and_logged() -> None:
    logged: list[str] = []
    f = Feed(
        Store(FakeEtcd()), {CONFIG_MAP: RESOURCE}, log_size=4, log=lambda message, **_fields: logged.append(message)
    )
    kv = KeyValue(b"/registry/configmaps/default/x", b"not json", mod_revision=2)
    f.apply(WatchBatch(2, [WatchEvent("PUT", kv)]))
    assert (f.revision, f.caches[CONFIG_MAP].size, logged) == (2, 0, ["a stored value is no object"])


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("/registry/services/specs/default/a", SERVICE),
        ("/registry/services/endpoints/default/a", ENDPOINTS),
        ("/registry/configmaps/default/a", CONFIG_MAP),
        ("/registry/other/default/a", None),
        ("/registry/health", None),
        ("compact_rev_key", None),
    ],
)
async def test_keys_find_their_kind(key: str, kind: object) -> None:
    f = feed()
    cache = f._cache_of(key)
    assert (cache.resource.kind if cache else None) == kind


async def test_a_value_written_in_another_form_is_read_all_the_same() -> None:
    codec = Codec.of(CONFIG_MAP)
    foreign = b'{"data":{"x":"1"},"metadata":{"resourceVersion":"9","name":"a"},"apiVersion":"v1","kind":"ConfigMap"}'
    raw = codec.canonical(foreign)
    assert codec.decode(raw, 5) == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a", "resourceVersion": "5"},
        "data": {"x": "1"},
    }
    assert codec.canonical(raw) is raw


async def test_everything_is_read_in_pages_of_one_revision() -> None:
    etcd = FakeEtcd()
    for i in range(1203):
        s = stored(f"c-{i:04}", 0)
        etcd.machine.apply(0, encode(PutRequest(s.key.encode(), s.value)))
    f = Feed(Store(etcd), {CONFIG_MAP: RESOURCE}, log_size=4, log=lambda *_args, **_fields: None)
    await f._read_everything()
    assert f.caches[CONFIG_MAP].size == 1203
    assert f.revision == etcd.machine.store.revision
