"""Reading bodies and writing answers, in the same way for every resource.

Owns: content types, sizes, and the refusal of a body that breaks a rule.  Must never know: a resource.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.policy.texts import trimmed_text

M = TypeVar("M", bound=BaseModel)

MAX_BODY = 64 << 10
MAX_SDP = 160 << 10
"""Bytes, as many as the SDP parser takes: an offer of sixteen tiles with all codecs of a browser has 80 kB."""
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"


async def read_text(request: web.Request, content_type: str) -> str:
    """Return a body of this type.

    Raises TheirError UNSUPPORTED (another type), TOO_LARGE (over 64 KiB; SDP: over 160 KiB), INVALID (empty,
    incomplete, or not UTF-8).
    """
    maximum = MAX_SDP if content_type == SDP else MAX_BODY
    if request.content_type != content_type:
        raise TheirError(
            Kind.UNSUPPORTED,
            f"the body must be {content_type}",
            code=Code.BODY_TYPE_UNSUPPORTED,
            facts={"content_type": content_type},
        )
    too_large = TheirError(
        Kind.TOO_LARGE, f"a body of this type is at most {maximum} bytes", code=Code.BODY_TOO_LARGE, facts={"max": maximum}
    )
    if (request.content_length or 0) > maximum:
        raise too_large
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large from error
    except (ConnectionError, web.RequestPayloadError) as error:
        # The peer went away, its connection was cut off for its slowness, or the chunks of its body are malformed.
        raise TheirError(Kind.INVALID, "the body is not complete", code=Code.BODY_INVALID) from error
    if len(data) > maximum:
        raise too_large
    if not data.strip():
        raise TheirError(Kind.INVALID, "the body is empty", code=Code.BODY_INVALID)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TheirError(Kind.INVALID, "the body is not UTF-8", code=Code.BODY_INVALID) from error


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return a JSON body as its model.

    Raises TheirError as `read_text` does, INCOMPLETE for a missing field, INVALID for a wrong one.
    """
    text = await read_text(request, "application/json")
    return parse(text, model)


def parse(text: str, model: type[M]) -> M:
    """Return JSON text as a model; raises TheirError INCOMPLETE or INVALID."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        missing = [".".join(map(str, problem["loc"])) for problem in problems if problem["type"] == "missing"]
        if missing and len(missing) == len(problems):
            raise TheirError(
                Kind.INCOMPLETE, f"missing: {', '.join(missing)}", code=Code.FIELD_REQUIRED, facts={"field": ", ".join(missing)}
            ) from error
        detail = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems[:5])
        # The names of unknown fields are the caller's words.
        raise TheirError(Kind.INVALID, trimmed_text(detail), code=Code.BODY_INVALID) from error


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a model as JSON."""
    return web.Response(text=model.model_dump_json(), status=status, content_type="application/json", headers=headers)


def plain(value: Mapping[str, Any] | list[Any], status: int = 200) -> web.Response:
    """Return plain values as JSON."""
    return web.Response(text=json.dumps(value), status=status, content_type="application/json")


def number(request: web.Request, name: str, default: int, minimum: int, maximum: int) -> int:
    """Return a whole number of the query; raises TheirError(INVALID) where it is out of bounds."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise TheirError(
            Kind.INVALID, f"{name} must be a whole number", code=Code.NUMBER_INVALID, facts={"field": name}
        ) from None
    if not minimum <= value <= maximum:
        raise TheirError(
            Kind.INVALID,
            f"{name} must be between {minimum} and {maximum}",
            code=Code.NUMBER_INVALID,
            facts={"field": name, "min": minimum, "max": maximum},
        )
    return value


def quoted(etag: str) -> str:
    """Return an entity tag as a strong one (RFC 9110 §8.8.3)."""
    return f'"{etag}"'


def created(sdp: str, location: str, etag: str, links: tuple[str, ...]) -> web.Response:
    """Return the 201 of RFC 9725 §4.2: SDP answer, `Location` of the session, ICE generation as `ETag`, ICE servers."""
    # As bytes: `text` would add a charset that RFC 9725's media type does not have.
    response = web.Response(body=sdp.encode(), status=201, content_type=SDP)
    response.headers[hdrs.LOCATION] = location
    response.headers[hdrs.ETAG] = quoted(etag)
    response.headers["Accept-Patch"] = FRAGMENT
    for url in links:
        response.headers.add(hdrs.LINK, f'<{url}>; rel="ice-server"')
    return response
