"""`python -m relay.app.reference > relay/app/REFERENCE.md`: every setting, route, metric and exit code, from the code itself.

Owns: the form of the reference.  Must never know: the meaning of an item.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator

import relay
from relay.app.settings import documentation
from relay.app.terminal import EXIT, SOFTWARE
from relay.base.counters import DECLARED
from relay.http.app import all_routes
from relay.http.middleware import STATUS
from relay.http.openapi import plain_path
from relay.http.system import GAUGES


def import_all() -> None:
    """Import every module of the relay, so that every counter is declared."""
    for module in pkgutil.walk_packages(relay.__path__, "relay."):
        if not module.name.endswith("__main__") and "migrations" not in module.name:
            importlib.import_module(module.name)


def render() -> str:
    """Return the reference in Markdown."""
    import_all()
    return "\n".join([*_head(), *_settings(), *_routes(), *_errors(), *_metrics(), ""])


def _head() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Made from the code by `python -m relay.app.reference`; a test compares the two.  Do not edit."
    yield ""


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "One TOML file; `RELAY_<SECTION>__<KEY>` in the environment wins over it.  Unknown keys are refused with their line."
    yield ""
    yield documentation()
    yield ""


def _routes() -> Iterator[str]:
    yield "## Routes"
    yield ""
    yield "| route | who | what |"
    yield "|---|---|---|"
    for route in sorted(all_routes(), key=lambda route: (route.path, route.method)):
        yield f"| `{route.method} {plain_path(route.path)}` | {route.access.value} | {route.summary} |"
    yield ""


def _errors() -> Iterator[str]:
    yield "## Kinds of error"
    yield ""
    yield "| kind | HTTP status | exit code of `relay` |"
    yield "|---|---|---|"
    for kind, status in STATUS.items():
        yield f"| {kind.value} | {status} | {EXIT.get(kind, SOFTWARE)} |"
    yield ""


def _metrics() -> Iterator[str]:
    yield "## Metrics"
    yield ""
    yield "All carry the label `process`: `control`, `worker-<i>`, `recorder-<i>`."
    yield ""
    yield "| metric | meaning |"
    yield "|---|---|"
    for name, meaning in sorted(GAUGES.items()):
        yield f"| `{name}` | {meaning} |"
    for name, meaning in sorted(DECLARED.items()):
        yield f"| `relay_{name}_total` | {meaning} |"


if __name__ == "__main__":
    sys.stdout.write(render())
