"""Which texts are a motive (JRN-02), which values a legal basis of an extraction (EXT-01, EXT-02) or a threat (LIV-01).

Owns: the rules for texts and values that the law requires.  Must never know: who wrote a text, where it is kept.
"""

from enum import StrEnum

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.policy.texts import clean_text

MIN_LENGTH = 3
"""Characters of a motive."""
_EMPTY_PHRASES = frozenset({"test", "service", "motif", "motive", "aucun", "none", "n/a", "xxx", "..."})


class LegalBasis(StrEnum):
    """Why a recording may leave (R241-2 7°, EXT-01)."""

    CPP_60_1 = "CPP_60-1"
    CPP_77_1_1 = "CPP_77-1-1"
    CPP_99_3 = "CPP_99-3"
    ADMINISTRATIVE = "administrative"
    DISCIPLINARY = "disciplinaire"
    LAWFUL_ACCESS = "acces_habilite_L252-3"


class Threat(StrEnum):
    """Whose integrity is at immediate risk (LIV-01, R241-3 I, R241-11 I)."""

    AGENTS = "agents"
    GOODS = "biens"
    PERSONS = "personnes"


def check_motive(text: str | None) -> str:
    """JRN-02: return the cleaned motive; raises TheirError(INCOMPLETE) where it is missing, too short or an empty phrase."""
    if not (text or "").strip():
        raise TheirError(Kind.INCOMPLETE, "a motive is required", code=Code.MOTIVE_REQUIRED)
    motive = clean_text(text or "", "a motive")
    if len(motive) < MIN_LENGTH or motive.casefold() in _EMPTY_PHRASES:
        raise TheirError(
            Kind.INCOMPLETE,
            "the motive must say why (JRN-02: R241-5, R241-14)",
            code=Code.MOTIVE_TOO_VAGUE,
            facts={"rule": "JRN-02: R241-5, R241-14"},
        )
    return motive


def check_legal_basis(basis: str, regime: str) -> LegalBasis:
    """EXT-01, EXT-02: return the basis; raises TheirError(INCOMPLETE) where it is unknown or not allowed for the regime."""
    try:
        found = LegalBasis(basis)
    except ValueError:
        known = ", ".join(item.value for item in LegalBasis)
        raise TheirError(
            Kind.INCOMPLETE,
            f"legal_basis must be one of {known} (EXT-01)",
            code=Code.LEGAL_BASIS_INVALID,
            facts={"rule": "EXT-01"},
        ) from None
    if found is LegalBasis.LAWFUL_ACCESS and regime != "videoprotection":
        raise TheirError(
            Kind.INCOMPLETE,
            "acces_habilite_L252-3 is open to videoprotection only (EXT-02)",
            code=Code.LEGAL_BASIS_OF_VIDEOPROTECTION,
            facts={"rule": "EXT-02"},
        )
    return found


def check_threat(threat: str) -> Threat:
    """LIV-01: return the threat; raises TheirError(FORBIDDEN) unless it is one of the three."""
    try:
        return Threat(threat)
    except ValueError:
        raise TheirError(
            Kind.FORBIDDEN,
            "a live transmission needs a threat: agents, biens or personnes (LIV-01)",
            code=Code.THREAT_REQUIRED,
            facts={"rule": "LIV-01"},
        ) from None
