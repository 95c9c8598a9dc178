"""Lists of revoked keys: how several combine, and the note of a verifier that was given none."""

import pytest

from relay.base.errors import OurError, TheirError
from relay.evidence.statement import read_revocations, sign_revocations
from relay.evidence.verdict import Verdict
from relay.evidence.verify import verify
from tests.support.recordings import DAY, LONGTERM, T0, build

BUILT = build("SIPPE")
HEAD = BUILT.records()[-1].head
KEY = LONGTERM.public_key
OTHER = bytes(32)


def listing(at_ns: int = T0, **attested: bool) -> bytes:
    """Return a list; `mine` names the key that sealed, `other` another."""
    keys = {"mine": KEY, "other": OTHER}
    revoked = {keys[name]: (HEAD,) if word else () for name, word in attested.items()}
    return sign_revocations(LONGTERM, head=HEAD, issued_ns=at_ns, revoked=revoked)


def judged(*lists: bytes, **more: object) -> Verdict:
    return verify(BUILT.reader(), KEY, revocations=lists, **more)  # type: ignore[arg-type]


def codes(verdict: Verdict) -> list[str]:
    return [each.code.name for each in (*verdict.findings, *verdict.notes)]


def test_without_a_list_that_is_a_note_and_with_one_its_date() -> None:
    assert (codes(judged()), judged().exit_code) == (["REVOCATION_UNCHECKED"], 0)
    (note,) = judged(listing(), listing(T0 + DAY, other=False)).notes
    assert note.text("en").endswith("2026-01-02 00:00:00.000 UTC (keys: 1)")


def test_a_key_on_any_list_is_revoked_and_vouches_only_where_each_says_so() -> None:
    for lists in ((listing(mine=False), listing(T0 + DAY)), (listing(mine=True), listing(mine=False))):
        assert [codes(judged(*order))[0] for order in (lists, lists[::-1])] == ["KEY_REVOKED"] * 2
    assert judged(listing(mine=True), listing(other=False)).exit_code == 0


def test_who_holds_the_journal_needs_no_list_and_knows_better() -> None:
    assert codes(judged(revoked={})) == []
    assert judged(listing(mine=False), revoked={KEY: (HEAD,)}).exit_code == 0
    assert judged(listing(mine=True), revoked={KEY: ()}).exit_code == 1


def test_without_a_trusted_key_lists_are_not_reported() -> None:
    verdict = verify(BUILT.reader(), None, revocations=[listing(mine=False)])
    assert codes(verdict) == ["NO_PUBLIC_KEY"]


def test_what_is_given_as_a_list_and_is_none_is_refused() -> None:
    for malformed in (b"", listing()[:-1], b"x" * 5000):
        with pytest.raises(TheirError):
            judged(malformed)


def test_a_list_holds_a_hundred_keys_and_none_is_left_out() -> None:
    def many(count: int) -> bytes:
        revoked = {number.to_bytes(32, "big"): () for number in range(count)}
        return sign_revocations(LONGTERM, head=HEAD, issued_ns=T0, revoked=revoked)

    assert len(read_revocations(many(100)).keys) == 100
    with pytest.raises(OurError, match="101 keys"):
        many(101)
