from pathlib import Path

import msgspec
import pytest

from ha.history import Event, Operation
from ha.report.directory import RunDirectoryError, load, write
from tests.unit.report.sample import sample

RUN = sample()


def jsonl(path: Path, records: list[Operation] | list[Event]) -> None:
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    jsonl(tmp_path / "history.jsonl", RUN.operations)
    jsonl(tmp_path / "events.jsonl", RUN.events)
    write(RUN, tmp_path)
    return tmp_path


def test_run_directory_reads_back_what_was_written(directory: Path) -> None:
    assert load(directory) == RUN


def test_run_directory_holds_the_result_and_the_reports(directory: Path) -> None:
    assert {"result.json", "junit.xml", "report.html"} <= {path.name for path in directory.iterdir()}
    assert msgspec.json.decode((directory / "result.json").read_bytes())["schema"] == "ha/result/v1"


def test_directory_without_a_result_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"result\.json: no such file"):
        load(tmp_path)


def test_damaged_result_is_refused_with_the_path_of_the_field(directory: Path) -> None:
    text = (directory / "result.json").read_text().replace('"verdict": "pass"', '"verdict": "perhaps"')
    (directory / "result.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=r"result\.json: Invalid enum value 'perhaps' - at `\$\.verdict`"):
        load(directory)


def test_damaged_line_is_refused_with_its_number(directory: Path) -> None:
    lines = (directory / "events.jsonl").read_text().splitlines()
    lines[4] = lines[4][:-5]
    (directory / "events.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(RunDirectoryError, match=r"events\.jsonl:5: "):
        load(directory)


def test_file_that_ends_amid_a_line_is_refused(directory: Path) -> None:
    whole = (directory / "history.jsonl").read_bytes()
    (directory / "history.jsonl").write_bytes(whole[:-5])
    with pytest.raises(RunDirectoryError, match=r"history\.jsonl: its last line was not written to the end"):
        load(directory)


def test_file_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunDirectoryError, match="Not a directory"):
        load(tmp_path / "run")
