import pytest

from ha.kube.selectors import SelectorError, from_object, parse_fields, parse_labels


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "web"}, True),
        ("app=web", {"app": "db"}, False),
        ("app=web", {}, False),
        ("app!=web", {}, True),
        ("app!=web", {"app": "web"}, False),
        ("app", {"app": ""}, True),
        ("app", {}, False),
        ("!app", {}, True),
        ("!app", {"app": "x"}, False),
        ("app in (web, db)", {"app": "db"}, True),
        ("app in (web,db)", {"app": "cache"}, False),
        ("app notin (web,db)", {}, True),
        ("app notin (web,db)", {"app": "db"}, False),
        ("app=", {"app": ""}, True),
        ("app in (,web)", {"app": ""}, True),
        ("size>3", {"size": "4"}, True),
        ("size>3", {"size": "3"}, False),
        ("size<3", {"size": "x"}, False),
        ("size<3", {}, False),
        ("app=web,tier!=back,!old", {"app": "web", "tier": "front"}, True),
        ("app=web,tier!=back,!old", {"app": "web", "tier": "front", "old": "1"}, False),
        ("node-role.kubernetes.io/control-plane", {"node-role.kubernetes.io/control-plane": ""}, True),
        ("in in (in)", {"in": "in"}, True),
    ],
)
def test_label_selector_matches_as_upstream(text: str, labels: dict[str, str], *, expected: bool) -> None:
    assert parse_labels(text).matches(labels) is expected


@pytest.mark.parametrize(
    "text", ["=web", "app in", "app in web", "app in (a", "a b", ",", "a,", "a=b=c", "_/a=b", "a>x", "a=b!"]
)
def test_label_selector_refuses_what_is_none(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_labels(text)


@pytest.mark.parametrize("text", ["a=b", "a!=b", "!a", "a", "a in (b,c)", "a notin (b)", "a>3", "a=b,c=d"])
def test_label_selector_prints_what_it_reads(text: str) -> None:
    assert str(parse_labels(text)) == text


def test_selector_object_joins_labels_and_expressions() -> None:
    selector = from_object(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }
    )
    assert str(selector) == "app=web,tier in (a,b),!old"
    assert selector.matches({"app": "web", "tier": "a"})
    assert not selector.matches({"app": "web", "tier": "a", "old": ""})


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Near"},
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
    ],
)
def test_selector_object_refuses_bad_expressions(expression: dict[str, object]) -> None:
    with pytest.raises(SelectorError):
        from_object({"matchExpressions": [expression]})


def test_empty_selector_object_matches_everything() -> None:
    assert from_object({}).matches({})


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("", {}, True),
        ("metadata.name=a", {"metadata.name": "a"}, True),
        ("metadata.name==a", {"metadata.name": "a"}, True),
        ("spec.nodeName=n1,status.phase!=Failed", {"spec.nodeName": "n1", "status.phase": "Running"}, True),
        ("spec.nodeName=n1,status.phase!=Failed", {"spec.nodeName": "n1", "status.phase": "Failed"}, False),
        ("spec.nodeName=", {}, True),
        ("spec.nodeName!=", {"spec.nodeName": "n1"}, True),
        (r"reason=a\,b\=c\\", {"reason": r"a,b=c" + "\\"}, True),
    ],
)
def test_field_selector_matches(text: str, fields: dict[str, str], *, expected: bool) -> None:
    assert parse_fields(text).matches(fields) is expected


@pytest.mark.parametrize("text", ["name", r"a=\x", "a=b\\"])
def test_field_selector_refuses_what_is_none(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_fields(text)


def test_field_selector_tells_a_pinned_value() -> None:
    assert parse_fields("metadata.name=a,spec.nodeName!=b").exact("metadata.name") == "a"
    assert parse_fields("metadata.name!=a").exact("metadata.name") is None
