"""What the relay refuses comes back at the command line as the error that it was."""

import json

import pytest

from relay.app.console import error_of
from relay.base.codes import Code
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.http.middleware import refusal


@pytest.mark.parametrize(
    "error",
    [
        TheirError(Kind.NOT_FOUND, "no such recording", code=Code.RECORDING_NOT_FOUND),
        TheirError(Kind.INCOMPLETE, "a motive is required", code=Code.MOTIVE_REQUIRED, facts={"rule": "JRN-02"}),
        TheirError(Kind.CONFLICT, "user ada exists"),
        OurError("the data disk does not answer", code=Code.DISK_NOT_ANSWERING),
    ],
)
def test_an_error_survives_the_way_over_http(error: RelayError) -> None:
    answer = refusal(error)
    assert answer.text is not None
    found = error_of(json.loads(answer.text), answer.status)
    assert (type(found), found.kind, found.code, found.detail) == (type(error), error.kind, error.code, error.detail)


def test_an_answer_that_is_no_problem_is_our_error() -> None:
    found = error_of(None, 502)
    assert (type(found), found.code, found.detail) == (OurError, Code.UNAVAILABLE, "status 502")
