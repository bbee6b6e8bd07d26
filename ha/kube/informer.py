"""A local copy of a collection, kept up to date by list and watch.

The promise is client-go's (tools/cache, Reflector): after `synced`, the copy is the collection as it was at some
resource version, and it moves forward from there without gaps; `on_change` sees every difference between two
states of the copy exactly once, in order, whether it came from the watch or from a new list. How far it is
behind is not promised; callers work level-triggered, and guard their writes with preconditions.

* A watch that ends is resumed from the last version seen, bookmarks included. 410 Gone: list anew and report
  the differences.
* A watch that stays open and silent is ended by its timeout (`watch_s`, jittered, so that the watches of many
  clients do not end together), or by `KubeClient.reset`.
* Failures are followed by a jittered back-off that grows up to `_BACKOFF_MAX_S`, and is over with the first answer.

Objects in the copy are shared: they must not be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import trio

from ha.http import HttpError
from ha.kube.client import KubeClient, WatchEvent
from ha.kube.errors import ApiError
from ha.kube.kinds import Kind, Object
from ha.kube.meta import object_key
from ha.kube.workqueue import Key
from ha.world import Host

__all__ = ["Informer", "OnChange"]

OnChange = Callable[[Object | None, Object | None], None]
"""Called with (old, new): old is None for an addition, new is None for a deletion. Must not block or raise."""

_BACKOFF_MIN_S = 0.05
_BACKOFF_MAX_S = 2.0
_PAGE = 500


class Informer:
    """Lists and watches one collection while `run` runs; answers from its copy at any time."""

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        *,
        host: Host,
        namespace: str | None = None,
        field_selector: str = "",
        on_change: OnChange | None = None,
        watch_s: float = 60.0,
    ) -> None:
        self.kind = kind
        self.synced = trio.Event()
        self.resource_version = ""
        self._client = client
        self._host = host
        self._namespace = namespace
        self._field_selector = field_selector
        self._on_change = on_change
        self._watch_s = watch_s
        self._objects: dict[Key, Object] = {}
        self._backoff_s = 0.0

    @property
    def objects(self) -> Mapping[Key, Object]:
        """The copy itself, read-only."""
        return MappingProxyType(self._objects)

    def get(self, namespace: str | None, name: str) -> Object | None:
        """One object of the copy."""
        return self._objects.get((namespace or "", name))

    def list(self) -> list[Object]:
        """All objects of the copy, sorted by namespace and name."""
        return [self._objects[key] for key in sorted(self._objects)]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the copy up to date for ever. Started once the first list is in."""
        while True:
            try:
                if not self.resource_version:
                    await self._list()
                    if not self.synced.is_set():
                        self.synced.set()
                        task_status.started()
                await self._watch()
            except ApiError as error:
                if error.status == 410:
                    self.resource_version = ""
                await self._pause(error)
            except HttpError as error:
                await self._pause(error)

    async def _list(self) -> None:
        objects: dict[Key, Object] = {}
        continue_ = ""
        while True:
            page = await self._client.list(
                self.kind,
                self._namespace,
                field_selector=self._field_selector,
                limit=_PAGE,
                continue_=continue_,
            )
            objects.update((object_key(item), item) for item in page.items)
            if not (continue_ := page.continue_):
                break
        self._backoff_s = 0.0
        self._replace(objects)
        self.resource_version = page.resource_version

    async def _watch(self) -> None:
        timeout_s = self._watch_s * self._host.random.uniform(1.0, 2.0)
        began = trio.current_time()
        async with self._client.watch(
            self.kind,
            self._namespace,
            resource_version=self.resource_version,
            field_selector=self._field_selector,
            timeout_s=timeout_s,
        ) as events:
            async for event in events:
                self._apply(event)
                self._backoff_s = 0.0
        if trio.current_time() - began < _BACKOFF_MIN_S:
            await self._pause(None)  # a server that ends watches at once must not be asked in a loop

    def _apply(self, event: WatchEvent) -> None:
        obj = event.object
        if event.type != "BOOKMARK":
            key = object_key(obj)
            old = self._objects.get(key)
            if event.type == "DELETED":
                self._objects.pop(key, None)
                self._tell(old if old is not None else obj, None)
            else:
                self._objects[key] = obj
                self._changed(old, obj)
        self.resource_version = obj["metadata"]["resourceVersion"]

    def _replace(self, objects: dict[Key, Object]) -> None:
        before, self._objects = self._objects, objects
        for key in sorted(before.keys() - objects.keys()):
            self._tell(before[key], None)
        for key, new in objects.items():
            old = before.get(key)
            if old is None or old["metadata"].get("resourceVersion") != new["metadata"].get("resourceVersion"):
                self._changed(old, new)

    def _changed(self, old: Object | None, new: Object) -> None:
        if old is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
            self._tell(old, None)  # another object of the same name: its deletion was not seen
            old = None
        self._tell(old, new)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        if self._on_change is not None:
            self._on_change(old, new)

    async def _pause(self, error: Exception | None) -> None:
        self._backoff_s = min(max(self._backoff_s * 2, _BACKOFF_MIN_S), _BACKOFF_MAX_S)
        if error is not None:
            self._host.log("list or watch failed", kind=self.kind.plural, error=str(error), backoff_s=self._backoff_s)
        await trio.sleep(self._backoff_s * self._host.random.uniform(0.5, 1.0))
