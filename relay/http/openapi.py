"""The OpenAPI description, made from the routes and models that serve requests.

Owns: the form of the document.  Must never know: a handler.
"""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from relay.http.context import Access, Route
from relay.http.middleware import PROBLEM
from relay.http.schemas import Problem

_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.ANYONE: [],
    Access.SECRET: [],
    Access.SIGNED_IN: [{"session": []}],
    Access.CAMERA: [{"token": []}],
    Access.VIEWER: [{"session": []}, {"token": []}],
    Access.METRICS: [{}, {"session": []}],
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document."""
    known = tuple(routes)
    models = {model for route in known for model in (route.body, route.answer, Problem) if model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schema = models_json_schema([(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for route in known:
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Body-camera relay", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schema.get("$defs", {}),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "relay_session"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def plain_path(path: str) -> str:
    """Return a route's path without the patterns of its parameters."""
    return re.sub(r"\{(\w+):(?:[^{}]|\{[^}]*\})*\}", r"{\1}", path)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "security": _SECURITY[route.access],
        "responses": {str(route.status): _content("Done", route.answer), "default": _content("Refused", Problem, PROBLEM)},
    }
    names = re.findall(r"\{(\w+)\}", plain_path(route.path))
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _reference(route.body)}}}
    return operation


def _content(description: str, model: type[BaseModel] | None, media_type: str = "application/json") -> dict[str, Any]:
    if model is None:
        return {"description": description}
    return {"description": description, "content": {media_type: {"schema": _reference(model)}}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
