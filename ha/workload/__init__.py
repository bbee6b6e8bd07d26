"""Clients that use a cluster as anybody would, through its load balancer, and write down what they got.

    load         `Load`: all workloads of an experiment: set up, run, read back
    catalogue    the workloads, one per file
    context      what a workload is given, and what all of them do alike
    client       one client: one connection, one operation at a time, each recorded
    configmaps   operations as requests, answers as outcomes: pure
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
