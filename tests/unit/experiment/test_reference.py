from pathlib import Path

from ha.experiment.reference import markdown

PAGE = Path(__file__).parents[3] / "docs" / "faults.md"


def test_committed_page_is_what_the_faults_say() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m ha.experiment.reference > docs/faults.md"
