"""Clients that use a cluster as anybody would, through its load balancer (those of the store: its members), and
write down what they got.

    load         `Load`: all workloads of an experiment: set up, run, read back
    catalogue    the workloads, one per file
    context      what a workload is given, and what all of them do alike
    connection   what every client has: one connection, one request at a time
    client       a client of the API             store_client   a client of one etcd member
    configmaps   its operations as requests, answers as outcomes: pure
    store_calls  the same for a client of etcd
    store_driver clients of etcd members   store_mind, lock_mind   what they ask: pure
    watchers     clients that want to know of every change, of etcd and of the API
    pacing       arrivals in an open or closed loop, pauses after failures
    recorder     the history as it grows

What the history promises to a checker: every request that may have reached a server is in it, with the times
between which it was outstanding and with an outcome that never claims more than the client knows; no request
is ever sent twice under one identity; no two writes have the same value.
"""

from __future__ import annotations

from ha.workload.context import NotSetUpError
from ha.workload.load import Load
from ha.workload.pacing import Arrivals
from ha.workload.recorder import Recorder

__all__ = ["Arrivals", "Load", "NotSetUpError", "Recorder"]
