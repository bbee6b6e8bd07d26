from hypothesis import given
from hypothesis import strategies as st

from ha.kube.selectors import FieldRequirement, FieldSelector, Requirement, Selector, parse_fields, parse_labels

KEYS = st.sampled_from(["app", "tier", "example.com/x"])
VALUES = st.sampled_from(["", "web", "db", "7", "12"])
LABELS = st.dictionaries(KEYS, VALUES)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(["=", "!=", "in", "notin", "exists", "!", ">", "<"]))
    if operator in {"in", "notin"}:
        values = tuple(sorted(draw(st.sets(VALUES, min_size=1))))
    elif operator in {">", "<"}:
        values = (str(draw(st.integers(0, 20))),)
    else:
        values = () if operator in {"exists", "!"} else (draw(VALUES),)
    return Requirement(draw(KEYS), operator, values)  # type: ignore[arg-type]


@given(st.lists(requirements(), max_size=4), LABELS)
def test_a_printed_selector_reads_back_to_the_same_decision(parts: list[Requirement], labels: dict[str, str]) -> None:
    selector = Selector(tuple(parts))
    assert parse_labels(str(selector)).matches(labels) == selector.matches(labels)


@given(LABELS, KEYS, VALUES)
def test_each_operator_and_its_negation_split_all_objects(labels: dict[str, str], key: str, value: str) -> None:
    for yes, no in (("=", "!="), ("in", "notin")):
        positive = Requirement(key, yes, (value,))  # type: ignore[arg-type]
        assert positive.matches(labels) != Requirement(key, no, (value,)).matches(labels)  # type: ignore[arg-type]
    assert Requirement(key, "exists").matches(labels) != Requirement(key, "!").matches(labels)


@given(st.lists(st.builds(FieldRequirement, st.sampled_from(["a.b", "c"]), st.booleans(), st.text()), max_size=3))
def test_a_printed_field_selector_reads_back(parts: list[FieldRequirement]) -> None:
    selector = FieldSelector(tuple(parts))
    assert parse_fields(str(selector)) == selector
