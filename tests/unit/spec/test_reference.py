from pathlib import Path

import yaml

from ha.spec.load import load
from ha.spec.reference import markdown

PAGE = Path(__file__).parents[3] / "docs" / "spec.md"


def test_committed_manual_is_what_the_types_say() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m ha.spec.reference > docs/spec.md"


def test_examples_of_the_manual_are_valid(tmp_path: Path) -> None:
    blocks = markdown().split("```yaml\n")[1:]
    assert len(blocks) == 4
    (tmp_path / "topologies").mkdir()
    for block in blocks:
        text = block.split("```")[0]
        kind = yaml.safe_load(text)["kind"]
        path = tmp_path / {"Topology": "topologies/mine.yaml"}.get(kind, f"{kind}.yaml")
        path.write_text(text)
        load(path)
