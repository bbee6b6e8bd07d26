import msgspec

from ha.history import LeaseChange, MemberSample, Operation, PodChange, ReadyChange
from ha.history.result import Run
from ha.report.lanes import Lane, lane_groups, span_of
from ha.report.series import bucket_s, ribbon
from tests.unit.report.sample import BOOT_S, KILL_S, sample

RUN = sample()


def lanes(run: Run, heading: str) -> dict[str, Lane]:
    (group,) = [group for group in lane_groups(run) if group.heading == heading]
    return {lane.name: lane for lane in group.lanes}


def test_segments_of_a_lane_are_in_order_and_do_not_overlap() -> None:
    span = span_of(RUN)
    for group in lane_groups(RUN):
        for lane in group.lanes:
            at_s = span.start_s
            for segment in lane.segments:
                assert at_s <= segment.start_s < segment.end_s <= span.end_s
                at_s = segment.end_s


def test_member_lane_shows_leadership_term_and_absence() -> None:
    lane = lanes(RUN, "Raft")["control-plane-2"]
    assert [(s.state, s.label) for s in lane.segments] == [
        ("part", "term 1"),
        ("good", "term 2"),
        ("bad", ""),
        ("calm", "term 4"),
    ]
    assert lane.segments[2].start_s == KILL_S + 0.02


def test_sample_that_repeats_a_state_does_not_cut_a_segment() -> None:
    again = MemberSample(
        at_s=8.0,
        member="control-plane-1",
        node="control-plane-1",
        reachable=True,
        term=4,
        leader="control-plane-3",
        revision=9,
    )
    repeated = msgspec.structs.replace(RUN, events=[*RUN.events, again])
    assert lanes(repeated, "Raft") == lanes(RUN, "Raft")


def test_fault_is_in_force_until_it_is_undone() -> None:
    (segment,) = lanes(RUN, "Run")["kill etcd-leader"].segments
    assert (segment.start_s, segment.end_s, segment.label) == (KILL_S, BOOT_S, "control-plane-2")


def test_repeated_fault_shares_a_lane_unless_it_overlaps() -> None:
    once = RUN.result.faults[0]
    faults = [
        msgspec.structs.replace(once, index=i, injected_s=at_s, undone_s=at_s + 2) for i, at_s in enumerate([3, 6, 7])
    ]
    run = msgspec.structs.replace(RUN, result=msgspec.structs.replace(RUN.result, faults=faults))
    (group,) = [group for group in lane_groups(run) if group.heading == "Run"]
    assert [len(lane.segments) for lane in group.lanes if lane.name == "kill etcd-leader"] == [2, 1]


def test_lease_lane_names_its_holders() -> None:
    lane = lanes(RUN, "Leases")["kube-controller-manager"]
    assert [s.label for s in lane.segments] == ["control-plane-2", "control-plane-1"]


def test_lease_lane_names_the_node_and_its_title_the_whole_holder() -> None:
    change = LeaseChange(at_s=9.0, name="kube-scheduler", holder="control-plane-3_6e6657d96d9d456d")
    (_, segment) = lanes(msgspec.structs.replace(RUN, events=[*RUN.events, change]), "Leases")[
        "kube-scheduler"
    ].segments
    assert segment.label == "control-plane-3"
    assert segment.title.startswith("control-plane-3_6e6657d96d9d456d holds kube-scheduler")


def test_lanes_stand_in_the_order_in_which_people_count() -> None:
    names = ["node-10", "node-2", "b", "node-1"]
    seen = [ReadyChange(at_s=i / 10, node=name, ready=True) for i, name in enumerate(names)]
    run = msgspec.structs.replace(RUN, events=list(seen))
    assert list(lanes(run, "API servers")) == ["b", "node-1", "node-2", "node-10"]


def test_static_pods_have_no_lane() -> None:
    static = PodChange(
        at_s=9.0, namespace="kube-system", name="etcd-control-plane-1", uid="s", node="control-plane-1",
        phase="Running", ready=True, owner="Node/control-plane-1",
    )  # fmt: skip
    run = msgspec.structs.replace(RUN, events=[*RUN.events, static])
    assert list(lanes(run, "Pods")) == ["ReplicaSet/load-7f"]


def test_pod_lane_counts_what_is_ready_and_forgets_what_is_deleted() -> None:
    gone = PodChange(
        at_s=9.0, namespace="default", name="load-0", uid="u0", node="worker-1", phase="Running", ready=True,
        owner="ReplicaSet/load-7f", deleted=True,
    )  # fmt: skip
    lane = lanes(msgspec.structs.replace(RUN, events=[*RUN.events, gone]), "Pods")["ReplicaSet/load-7f"]
    assert [s.label for s in lane.segments] == ["0", "1", "2", "3", "4", "3"]


def operation(at_s: float, outcome: str, *, type_: str = "write", error: str | None = None) -> Operation:
    return msgspec.convert(
        {
            "workload": "w", "client": 0, "type": type_, "key": "k", "invoked_s": at_s, "completed_s": at_s,
            "outcome": outcome, "error": error,
        },
        Operation,
    )  # fmt: skip


def test_ribbon_tells_all_some_none_and_nothing_asked() -> None:
    made = [operation(0.05, "ok"), operation(0.15, "ok"), operation(0.16, "info"), operation(0.25, "fail")]
    assert ribbon(made, 0.0, 0.4).states == ["ok", "part", "gap", "idle"]


def test_lost_compare_and_set_is_no_outage() -> None:
    made = [operation(0.05, "ok", type_="cas"), operation(0.06, "fail", type_="cas", error="Conflict")]
    assert ribbon(made, 0.0, 0.1).states == ["ok"]
    refused = [operation(0.05, "fail", type_="cas", error="connection refused")]
    assert ribbon(refused, 0.0, 0.1).states == ["gap"]


def test_slices_are_round_and_few() -> None:
    assert bucket_s(14, at_most=150) == 0.1
    assert bucket_s(3600, at_most=150) == 30
    assert 86400 * 30 / bucket_s(86400 * 30, at_most=150) > 150  # the coarsest there is
