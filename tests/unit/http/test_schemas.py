"""Bodies: a missing field is 422, a wrong one 400, an unknown one is refused."""

import pytest

from relay.base.errors import Kind, TheirError
from relay.http import schemas
from relay.http.bodies import parse


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{}", Kind.INCOMPLETE),
        ('{"camera":"pm-1"}', Kind.INCOMPLETE),
        ('{"camera":"PM 1","intervention":"0"}', Kind.INVALID),
        ('{"camera":"pm-1","intervention":"00000000000000000000000000000000","x":1}', Kind.INVALID),
        ("[]", Kind.INVALID),
        ("{", Kind.INVALID),
        ('{"camera":1}', Kind.INVALID),
    ],
)
def test_a_bad_body_is_refused_by_kind(text: str, kind: Kind) -> None:
    with pytest.raises(TheirError) as refused:
        parse(text, schemas.ViewTokenAsk)
    assert refused.value.kind is kind


def test_what_was_sent_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(TheirError) as refused:
        parse('{"user":"marie","password":["secret-word"]}', schemas.SignIn)
    assert "secret-word" not in refused.value.detail
