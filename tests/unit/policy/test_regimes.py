"""A regime stands wherever a service meets it: in the law's table, in the form of the page and in both of its languages."""

import re
from pathlib import Path

import pytest

from relay.policy.regimes import RULES, Regime

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "command_room_ui" / "src"


def test_every_regime_has_its_rules_and_exactly_one_term() -> None:
    assert set(RULES) == set(Regime)
    for rules in RULES.values():
        assert (rules.retention_months is None) != (rules.retention_days is None)


def test_the_table_of_the_law_lists_the_regimes_of_the_code() -> None:
    section = (ROOT / "relay" / "policy" / "LAW.md").read_text(encoding="utf-8").split("## Regimes")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [regime.value for regime in Regime]


@pytest.mark.parametrize("regime", Regime)
def test_the_page_offers_a_regime_and_names_it_in_both_languages(regime: Regime) -> None:
    assert f'"{regime.value}"' in (PAGE / "elements" / "cameras_admin.ts").read_text(encoding="utf-8")
    for language in ("fr", "en"):
        assert f'"regime.{regime.value}":' in (PAGE / "words" / f"{language}.ts").read_text(encoding="utf-8")
