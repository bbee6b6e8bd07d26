import re
from html.parser import HTMLParser

import msgspec
import pytest

from ha.history.result import Claim, Run, Unavailability, WatchCounts
from ha.report import html, timeline
from ha.report.page import asset
from tests.unit.report.sample import sample

VOID = {"meta", "br", "link", "rect", "line", "path", "circle", "polyline"}
CSS = asset("assets", "report.css")
ATTACK = "<script>alert(1)</script>\"'&\x00"


class Page(HTMLParser):
    """Checks that every element is closed, and collects what the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] in {"script", "style"} else self.text).append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def run() -> Run:
    return sample()


@pytest.fixture(scope="module")
def page(run: Run) -> Page:
    return Page(html.render(run))


def test_page_is_small_and_asks_for_nothing_from_outside(run: Run, page: Page) -> None:
    text = html.render(run)
    assert len(text.encode()) < 1_000_000
    loads = {"src", "href", "data", "action", "poster", "srcset"}
    assert [a for a in page.attributes if a[1] in loads] == []
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket", text)
    assert (
        "meta",
        "content",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:",
    ) in (page.attributes)


def test_page_says_the_verdict_the_claims_and_how_to_repeat(run: Run, page: Page) -> None:
    assert "✓ Passed" in page.words
    for expected in [
        run.result.claim,
        run.result.reason,
        run.result.repeat,
        run.result.run_dir,
        "Recovery, raft election: at most 3 s",
        "0.312 s",
        "No acknowledged write is lost",
        "kill etcd-leader → control-plane-2",
        "✓ took effect",
        "evidence, control-plane-2 signal SIGKILL; process group 4711; exited: etcd 4713",
        "undone, control-plane-2 booted: kubelet 5120",
        "95 refused",
        "5 nodes and a load balancer",
        "Blank: nobody asked.",
        "a first write may stand before the election that made it possible",
        "Not concerned: Scheduler takes over, Pods run elsewhere.",
        "Timings: fast",
        "Linux 6.1 x86_64",
    ]:
        assert expected in page.words


def test_every_picture_has_words(page: Page) -> None:
    pictures = [a for a in page.attributes if a[1] == "role" and a[2] == "img"]
    labels = [a for a in page.attributes if a[1] == "aria-label"]
    assert len(pictures) > 20
    assert any("control-plane-2 leads in term 2" in (value or "") for _, _, value in labels)
    assert "stacked etcd: each API server uses the member on its own node" in page.words


def test_external_etcd_is_pictured_on_its_own_hosts() -> None:
    words = Page(html.render(sample(external=True))).words
    assert "every API server → every member" in words
    assert "etcd ★ leader" in words
    assert "Hit by faults: etcd-2." in words


def test_charts_carry_their_data_as_json(page: Page) -> None:
    (text,) = [script for script in page.scripts if script.startswith('{"latency"')]
    charts = msgspec.json.decode(text)
    assert [s["label"] for s in charts["latency"]["series"]] == ["write p99", "write p50", "read p99", "read p50"]
    for chart in charts.values():
        assert chart["faults"] == [[5.31, 13.31]]
        assert all(len(s["values"]) == len(chart["x"]) for s in chart["series"])


def test_text_from_the_run_cannot_become_markup(run: Run) -> None:
    result = msgspec.structs.replace(
        run.result,
        experiment=ATTACK,
        claim=ATTACK,
        reason=ATTACK,
        run_dir=ATTACK,
        repeat=ATTACK,
        claims=[Claim(checker="ready", expectation=ATTACK, measured=ATTACK, held=None)],
        faults=[
            msgspec.structs.replace(run.result.faults[0], target=ATTACK, nodes=[ATTACK], evidence={ATTACK: ATTACK})
        ],
        nodes=[msgspec.structs.replace(node, name=ATTACK, components=[ATTACK]) for node in run.result.nodes],
        versions={ATTACK: ATTACK},
        recoveries=[msgspec.structs.replace(run.result.recoveries[0], target=ATTACK)] * 2,
    )
    text = html.render(msgspec.structs.replace(run, result=result))
    assert "<script>alert" not in text
    assert "\x00" not in text
    assert "<script>alert(1)</script>" in Page(text).words


def test_run_that_died_before_any_operation_still_has_a_report(run: Run) -> None:
    result = msgspec.structs.replace(
        run.result,
        verdict="inconclusive",
        operations={},
        unavailability={},
        recoveries=[],
        faults=[],
        claims=[],
        nodes=[],
    )
    words = Page(html.render(Run(result=result, operations=[], events=[]))).words
    assert "? Inconclusive" in words
    assert "The experiment injects no fault." in words


def test_what_convicts_a_run_is_shown(run: Run) -> None:
    checks = msgspec.structs.replace(
        run.result.checks, linearizable=False, lost_writes=3, explanation=["read 17 saw the past"]
    )
    by = ["linearizability", "durability"]
    result = msgspec.structs.replace(run.result, verdict="fail", checks=checks, convicted_by=by)
    words = Page(html.render(msgspec.structs.replace(run, result=result))).words
    shown = [
        "✗ Failed",
        "not linearizable",
        "3 lost",
        "read 17 saw the past",
        "Convicted by linearizability, durability",
    ]
    for expected in shown:
        assert expected in words


def test_phase_that_applied_and_never_ended_is_shown_as_such(run: Run) -> None:
    never = msgspec.structs.replace(run.result.recoveries[0], not_reached=["pods_running_elsewhere"])
    result = msgspec.structs.replace(run.result, recoveries=[never])
    assert (
        "Pods run elsewhere not before the end" in Page(html.render(msgspec.structs.replace(run, result=result))).words
    )


def test_outage_too_short_to_count_is_none_and_says_than_what(run: Run) -> None:
    none = {"write": Unavailability(longest_s=0.0, total_s=0.0, threshold_s=0.1)}
    words = Page(
        html.render(msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, unavailability=none)))
    ).words
    assert "Longest write outage none longer than 100 ms" in words


def test_what_watchers_were_told_is_shown_by_place(run: Run, page: Page) -> None:
    told = WatchCounts(watchers=2, events=1234, bookmarks=7, resumed=3, lost=1, compacted=0)
    result = msgspec.structs.replace(run.result, watches={"any member": told})
    text = " ".join(Page(html.render(msgspec.structs.replace(run, result=result))).text)
    assert "any member" in text
    assert "1,234" in text
    assert "Watches" not in " ".join(page.text)


def test_license_of_the_charting_library_is_in_the_page(page: Page) -> None:
    assert any("Copyright (c) 2022 Leon Sorokin" in script for script in page.scripts)


def test_many_faults_are_folded_behind_the_worst_of_all(run: Run) -> None:
    many = [msgspec.structs.replace(run.result.recoveries[0], fault=i) for i in range(9)]
    faults = [msgspec.structs.replace(run.result.faults[0], index=i) for i in range(9)]
    result = msgspec.structs.replace(run.result, recoveries=many, faults=faults)
    words = Page(html.render(msgspec.structs.replace(run, result=result))).words
    assert "The worst of all" in words
    assert "Each of the 9 faults" in words


def test_load_balancer_is_pictured_with_its_program(run: Run, page: Page) -> None:
    assert "load balancer embedded" in page.words
    assert "1 load balancer (embedded)" in page.words
    versions = {**run.result.versions, "haproxy": "2.6.12-1+deb12u4"}
    other = msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, versions=versions))
    words = Page(html.render(other)).words
    assert "load balancer HAProxy 2.6.12" in words
    assert "embedded" not in words


def test_lanes_are_as_wide_as_the_longest_component() -> None:
    """By what a letter of the page's font takes on the average, measured in browsers."""
    gutter_px = re.search(r"--gutter: (\d+)px", CSS)
    assert gutter_px is not None
    assert int(gutter_px[1]) - 12 >= 7.2 * len("cloud-controller-manager")


def test_words_of_a_lower_bar_stand_within_it() -> None:
    y, height = timeline._HEIGHTS["part"]
    look = re.search(r"\.l-part \{ top: (\d+)px; height: (\d+)px; line-height: (\d+)px", CSS)
    assert look is not None
    assert [int(figure) for figure in look.groups()] == [3 + y, height, height]


def test_of_hundreds_of_sentences_all_but_the_first_are_folded(run: Run) -> None:
    lost = [f"acknowledged, then gone: number {i}." for i in range(246)]
    checks = msgspec.structs.replace(run.result.checks, explanation=lost)
    page = html.render(msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, checks=checks)))
    shown, _, folded = page.partition("<summary>226 more</summary>")
    assert (shown.count("then gone"), folded.count("then gone")) == (20, 226)
    assert "number 245." in Page(page).words
