"""The OpenAPI document: every route, nothing else, and references that resolve."""

import json
import re

from relay.base.codes import Code
from relay.http.app import all_routes
from relay.http.context import Access
from relay.http.openapi import document, plain_path


def test_every_route_is_described_once_with_its_security() -> None:
    routes = all_routes()
    described = document(routes)
    pairs = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert pairs == {(route.method, plain_path(route.path)) for route in routes}
    assert len(pairs) == len(routes)
    for route in routes:
        operation = described["paths"][plain_path(route.path)][route.method.lower()]
        assert bool(operation["security"]) is (route.access not in {Access.ANYONE, Access.SECRET})


def test_every_reference_leads_to_a_schema() -> None:
    described = document(all_routes())
    wanted = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert wanted
    assert wanted <= set(described["components"]["schemas"])


def test_every_refusal_is_described_as_a_problem_with_its_code() -> None:
    described = document(all_routes())
    for methods in described["paths"].values():
        for operation in methods.values():
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
    schemas = described["components"]["schemas"]
    assert set(schemas["Problem"]["required"]) == {"type", "title", "status", "detail", "code"}
    assert set(schemas["Code"]["enum"]) == set(Code)


def test_patterns_of_parameters_do_not_show() -> None:
    assert plain_path(r"/a/{piece:\d{1,6}}.m4s/{x}") == "/a/{piece}.m4s/{x}"
