"""One schedule for each fault of the vocabulary, on a store of five members: for either world."""

from __future__ import annotations

from ha.spec import Fault, NodeGroup, Target, Topology
from ha.spec.model import Etcd
from ha.spec.timings import FAST

SHAPE = Topology(name="etcd-5", nodes=[NodeGroup(role="etcd", count=5)], etcd=Etcd(topology="external"), timings=FAST)
ONE = Target(select="etcd-2")
ETCD = Target(select="etcd-2", component="etcd")
SCHEDULES: dict[str, Fault] = {
    fault.fault: fault
    for fault in (
        Fault(fault="kill", target=ONE, at_s=1, for_s=2),
        Fault(fault="pause", target=ONE, at_s=1, for_s=2),
        Fault(fault="restart", target=ONE, at_s=1),
        Fault(fault="partition", target=ONE, source=Target(select="etcd-leader"), direction="inbound", at_s=1, for_s=2),
        Fault(fault="ring-partition", target=Target(select="etcd"), at_s=1, for_s=2),
        Fault(fault="bridge-partition", target=Target(select="etcd"), at_s=1, for_s=2),
        Fault(fault="delay", target=ONE, latency_s=0.1, jitter_s=0.1, at_s=1, for_s=2),
        Fault(fault="bandwidth", target=ONE, bytes_per_s=1000, at_s=1, for_s=2),
        Fault(fault="refuse", target=ONE, at_s=1, for_s=2),
        Fault(fault="reset", target=ONE, at_s=1),
        Fault(fault="disk-full", target=ETCD, at_s=1, for_s=2),
        Fault(fault="disk-error", target=ETCD, at_s=1, for_s=2),
        Fault(fault="slow-disk", target=ETCD, latency_s=0.1, at_s=1, for_s=2),
        Fault(fault="bit-flip", target=ETCD, at_s=1, for_s=2),
        Fault(fault="wipe-disk", target=ETCD, at_s=1, for_s=2),
        Fault(fault="torn-write", target=ETCD, at_s=1, for_s=2),
        Fault(fault="clock-offset", target=ONE, offset_s=-30, at_s=1, for_s=2),
        Fault(fault="clock-rate", target=ONE, rate=2, at_s=1, for_s=2),
    )
}
