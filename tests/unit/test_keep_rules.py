from __future__ import annotations

from pathlib import Path

import pytest

from bytelog import create_app
from bytelog.config import SetupError
from bytelog.events.keep_rules import KeepRules, parse


def test_rules_are_for_all_events_a_project_or_a_name_in_a_project() -> None:
    rules = parse(" 365d,shop = 90d , shop/click=7d")
    assert rules == {("", ""): 365, ("shop", ""): 90, ("shop", "click"): 7}
    assert parse("") == {}


def test_a_quoted_name_may_have_any_characters() -> None:
    rules = parse('"a, b=c/d"=1d, x/"say ""hi"""=2d, "shop"/ "click"=3d, zürich=4d')
    expected = {("a, b=c/d", ""): 1, ("x", 'say "hi"'): 2, ("shop", "click"): 3, ("zürich", ""): 4}
    assert rules == expected


def test_the_most_specific_rule_applies() -> None:
    rules = KeepRules(parse("shop/click=7d, 365d, shop=90d, bank/login=500d"))
    assert rules.find("shop") == {"": 90, "click": 7}
    assert rules.find("bank") == {"": 365, "login": 500}
    assert rules.find("other") == {"": 365}
    assert rules.longest == 500
    partial = KeepRules(parse("shop/click=7d"))
    assert (partial.find("shop"), partial.find("bank"), partial.longest) == ({"click": 7}, {}, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0d", "Write a whole number of days"),
        ("shop=0d", "Write a whole number of days"),
        ("90", "such as 90d"),
        ("90h", "such as 90d"),
        ("shop=d", "such as 90d"),
        ("-1d", "such as 90d"),
        ("1.5d", "such as 90d"),
        ("²d", "such as 90d"),
        ("9999999999d", "such as 90d"),
        ("365d, 90d", "two rules for all events"),
        ('shop=1d, "shop"=2d', "two rules for shop"),
        ("shop/a=1d, shop/a=1d", "two rules for shop/a"),
        ("365d,", "empty rule"),
        (",", "empty rule"),
        ("365d,,shop=1d", "empty rule"),
        ('""=1d', "cannot read"),
        ("=1d", "cannot read"),
        ("shop/=1d", "cannot read"),
        ("/click=1d", "cannot read"),
        ("shop=", "cannot read"),
        ("a/b/c=1d", "double quotes"),
        ("a b=1d", "double quotes"),
        ("shop=1d=2d", "cannot read"),
        ('"shop=1d', "not closed"),
        ("shop", "such as 90d"),
    ],
)
def test_a_bad_rule_is_refused_at_the_start(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SetupError, match="BYTELOG_KEEP has") as refused:
        create_app({"BYTELOG_KEEP": text}, tmp_path)
    assert sentence in str(refused.value)
    assert not (tmp_path / "bytelog.db").exists()


def test_two_settings_for_all_events_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="both have a rule for all events"):
        create_app({"BYTELOG_KEEP": "365d", "BYTELOG_KEEP_DAYS": 90}, tmp_path)
    create_app({"BYTELOG_KEEP": "shop=365d", "BYTELOG_KEEP_DAYS": 90}, tmp_path)
