"""The legal regimes a camera can belong to, as one table.

Owns: what each regime allows (retention, live sound, conditions).  Must never know: cameras, people, settings, the clock.
Source: Code de la sécurité intérieure, consolidation of 2026-04-03, articles named in each row.
"""

from dataclasses import dataclass
from enum import StrEnum

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError


class Regime(StrEnum):
    """The articles under which a camera films."""

    BODYCAM_PN_GN = "bodycam_pn_gn"
    BODYCAM_PM = "bodycam_pm"
    BODYCAM_SIS = "bodycam_sis"
    EMBARQUEE = "embarquee"
    VIDEOPROTECTION = "videoprotection"


@dataclass(frozen=True, slots=True)
class RegimeRules:
    """The rules of a regime; exactly one of `retention_months` and `retention_days` is set."""

    regime: Regime
    label: str
    article: str
    retention_months: int | None
    retention_days: int | None
    sound_recorded: bool
    """False: no sound is accepted from the camera, and it cannot be enrolled with live sound (VID-01)."""
    live_sound: bool
    """Whether the articles name live sound.  A record of the law: the code decides by `check_live_audio`."""
    threat_required: bool
    """LIV-01: live only where agents, goods or persons are at immediate risk."""
    commune_scoped: bool
    """VID-03: people watch only the communes for which they are competent."""


_TABLE = (
    RegimeRules(
        Regime.BODYCAM_PN_GN,
        label="police nationale, gendarmerie",
        article="L241-1, R241-1 à R241-7",
        retention_months=1,
        retention_days=None,
        sound_recorded=True,
        live_sound=False,
        threat_required=True,
        commune_scoped=False,
    ),
    RegimeRules(
        Regime.BODYCAM_PM,
        label="police municipale",
        article="L241-2, R241-8 à R241-17",
        retention_months=1,
        retention_days=None,
        sound_recorded=True,
        live_sound=True,
        threat_required=True,
        commune_scoped=False,
    ),
    RegimeRules(
        Regime.BODYCAM_SIS,
        label="sapeurs-pompiers",
        article="L241-3, R241-18 et suivants",
        retention_months=6,
        retention_days=None,
        sound_recorded=True,
        live_sound=True,
        threat_required=True,
        commune_scoped=False,
    ),
    RegimeRules(
        Regime.EMBARQUEE,
        label="caméras embarquées",
        article="L243-1 à L243-5",
        retention_months=None,
        retention_days=7,
        sound_recorded=False,
        live_sound=False,
        threat_required=True,
        commune_scoped=False,
    ),
    RegimeRules(
        Regime.VIDEOPROTECTION,
        label="vidéoprotection",
        article="L251-1 à L255-1, R253-1 à R253-7",
        retention_months=1,
        retention_days=None,
        sound_recorded=False,
        live_sound=False,
        threat_required=False,
        commune_scoped=True,
    ),
)
RULES: dict[Regime, RegimeRules] = {rules.regime: rules for rules in _TABLE}


def rules_of(regime: str) -> RegimeRules:
    """Return the row of a regime; raises TheirError(INVALID) for an unknown name."""
    try:
        return RULES[Regime(regime)]
    except ValueError:
        known = ", ".join(item.value for item in Regime)
        raise TheirError(Kind.INVALID, f"unknown regime {regime!r}; known: {known}", code=Code.REGIME_UNKNOWN) from None


def check_live_audio(regime: str, live_audio: bool) -> None:
    """LIV-04, VID-01: raise TheirError(INVALID) where live sound is asked for and the regime has no sound at all.

    Where the regime records sound but its article on live transmission says only "images" (PN/GN), the service decides
    (LAW.md, open point 2).  Enrolling a camera with live sound is that decision: it is off by default, and journalled.
    """
    if live_audio and not rules_of(regime).sound_recorded:
        raise TheirError(
            Kind.INVALID,
            f"{regime}: this regime has no sound (VID-01, R253-1)",
            code=Code.SOUND_NOT_ALLOWED,
            facts={"regime": regime, "rule": "VID-01, R253-1"},
        )
