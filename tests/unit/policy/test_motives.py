"""A motive gives a reason; a legal basis is one of those in the law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.policy.motives import check_legal_basis, check_motive, check_threat
from relay.policy.texts import MAX_BYTES


@given(st.text(max_size=600) | st.none())
def test_a_motive_is_either_refused_or_clean_and_stable(text: str | None) -> None:
    motive = _accepted(text)
    if motive is not None:
        assert motive == _accepted(motive)
        assert len(motive) >= 3
        assert len(motive.encode()) <= MAX_BYTES


def _accepted(text: str | None) -> str | None:
    try:
        return check_motive(text)
    except TheirError:
        return None


def test_the_habilitated_access_is_for_fixed_cameras_only() -> None:
    assert check_legal_basis("acces_habilite_L252-3", "videoprotection").value == "acces_habilite_L252-3"
    with pytest.raises(TheirError, match="EXT-02"):
        check_legal_basis("acces_habilite_L252-3", "bodycam_pm")


@pytest.mark.parametrize("basis", ["", "because", "cpp_60-1"])
def test_an_unknown_legal_basis_is_no_basis(basis: str) -> None:
    with pytest.raises(TheirError, match="EXT-01"):
        check_legal_basis(basis, "bodycam_pm")


@pytest.mark.parametrize("threat", ["", "none", "AGENTS"])
def test_a_transmission_names_whose_integrity_is_at_risk(threat: str) -> None:
    with pytest.raises(TheirError, match="LIV-01"):
        check_threat(threat)
