from pathlib import Path

import pytest

from ha.experiment import catalogue, reference
from ha.spec.load import catalogue as files

DOCS = Path(__file__).parents[3] / "docs"
PAGE = catalogue.markdown()


def test_committed_page_is_what_the_faults_say() -> None:
    page = (DOCS / "faults.md").read_text()
    assert page == reference.markdown(), "run: python -m ha.experiment.reference > docs/faults.md"


def test_committed_page_is_what_the_catalogue_holds() -> None:
    page = (DOCS / "catalogue.md").read_text()
    assert page == PAGE, "run: python -m ha.experiment.catalogue > docs/catalogue.md"


@pytest.mark.parametrize("name", files())
def test_every_file_of_the_catalogue_is_on_its_page_once(name: str) -> None:
    headings = [line.lstrip("#").strip() for line in PAGE.splitlines() if line.startswith("###")]
    assert headings.count(name) == 1


def test_page_says_why_the_real_etcd_cannot_have_an_experiment() -> None:
    assert "on the real etcd: no, since a partition acts inside our own processes" in PAGE
    assert "on the real etcd: no, since after a wipe-disk only a member of ours comes back by itself" in PAGE
    assert "on the real etcd: on external-3 only, since a clock-offset acts inside our own processes" in PAGE
