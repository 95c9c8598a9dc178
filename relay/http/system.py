"""Health, metrics, OpenAPI, and the files of the page.

Owns: the endpoints that machines use.  Must never know: a person.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from relay.base.codes import Code
from relay.base.counters import DECLARED
from relay.base.errors import Kind, TheirError
from relay.http import schemas
from relay.http.bodies import answer
from relay.http.context import ROUTES as ALL_ROUTES
from relay.http.context import Access, Context, Route, context, signed_in_or_none
from relay.http.middleware import is_local
from relay.http.openapi import document
from relay.policy.roles import Action

GAUGES = {
    "relay_live_cameras": "cameras with a publish session",
    "relay_open_views": "live views open",
    "relay_http_connections": "HTTP connections open (without the console's)",
    "relay_http_connections_max": "HTTP connections that may be open at once",
    "relay_cpu_seconds": "CPU seconds used by a process",
    "relay_session_seconds": "seconds until a recorder's session certificate ends; renewed with 12 h left",
    "relay_disk_free_bytes": "bytes free for recordings where the vault is",
    "relay_disk_full_in_seconds": "seconds until no byte is free at the present rate; absent while free space does not shrink",
    "relay_unrecorded_cameras": "cameras of which packets come and a track is not recorded",
    "relay_disk_troubled": "1 while the disk does not accept recordings (slow, full, gone, read-only)",
    "relay_retention_sweep_age_seconds": "seconds since the last retention sweep without a failure; alarm above 7200",
    "relay_retention_late": "recordings erased after their expiry day, since the start of control",
    "relay_holds_open": "open holds (RET-02)",
    "relay_holds_review_overdue": "holds whose review is overdue: review or lift them",
    "relay_holds_lost": "recordings kept past their term because their key shows a hold that the restored catalogue lacks",
}


class RelayCollector(Collector):
    """Reads counters at a scrape; the packet path does no work for metrics."""

    def __init__(self, services: Context) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        """Yield every declared counter by process, and a few gauges."""
        by_process = self._services.process_counters()
        # The other processes declare their own counters; relay/app/REFERENCE.md lists their meanings.
        for name in sorted(DECLARED.keys() | {name for values in by_process.values() for name in values}):
            family = CounterMetricFamily(f"relay_{name}", DECLARED.get(name, "see REFERENCE.md"), labels=["process"])
            for process, values in by_process.items():
                family.add_metric([process], values.get(name, 0))
            yield family
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        for name, values in self._services.gauges().items():
            family = GaugeMetricFamily(name, GAUGES[name], labels=["process"])
            for process, value in values.items():
                family.add_metric([process], value)
            yield family


async def metrics(request: web.Request) -> web.StreamResponse:
    """Return Prometheus metrics."""
    found = signed_in_or_none(request)
    services = context(request)
    if found is not None:
        await services.authorizer.require(found.person, Action.READ_METRICS, object_type="metrics")
    registry = CollectorRegistry()
    registry.register(RelayCollector(services))
    return web.Response(body=generate_latest(registry), headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"})


async def healthz(request: web.Request) -> web.StreamResponse:
    """Answer that control is alive."""
    return answer(schemas.Health(ok=True, parts={}))


async def readyz(request: web.Request) -> web.StreamResponse:
    """Answer whether a camera could publish and be recorded, and a person watch now; 503 where not.

    The vault is tried by a write, a rename and a sync, at most once in a few seconds however often this is asked.  Only this
    machine learns which part fails.
    """
    services = context(request)
    parts = {**services.ready(), "vault": await services.vault_probe.can_write()}
    ok = all(parts.values())
    return answer(schemas.Health(ok=ok, parts=parts if is_local(request) else {}), 200 if ok else 503)


async def openapi(request: web.Request) -> web.StreamResponse:
    """Return the OpenAPI description of the routes."""
    return web.Response(text=_description(request.app[ALL_ROUTES]), content_type="application/json")


@cache
def _description(routes: tuple[Route, ...]) -> str:
    """Return the description, made once: anybody may ask for it, and making it takes longer than any other answer."""
    return json.dumps(document(routes))


def _find(folder: Path, name: str) -> Path:
    root = folder.resolve()
    wanted = (root / name).resolve()
    if not wanted.is_relative_to(root) or not wanted.is_file():
        raise TheirError(Kind.NOT_FOUND, "no such file (is the page built?)", code=Code.PAGE_NOT_BUILT)
    return wanted


async def page(request: web.Request) -> web.StreamResponse:
    """Return the page, or one of its files; nothing outside its folder."""
    wanted = await asyncio.to_thread(_find, context(request).options.ui_dir, request.match_info.get("file") or "index.html")
    response = web.FileResponse(wanted)
    # Built files have their digest in their name; the entry page must be requested each time.
    hashed = wanted.parent.name == "assets"
    response.headers[hdrs.CACHE_CONTROL] = "public, max-age=31536000, immutable" if hashed else "no-cache"
    return response


ROUTES = (
    Route("GET", "/healthz", Access.ANYONE, healthz, "Control answers", None, schemas.Health),
    Route("GET", "/readyz", Access.ANYONE, readyz, "A camera could publish now", None, schemas.Health),
    Route("GET", "/metrics", Access.METRICS, metrics, "Prometheus metrics"),
    Route("GET", "/openapi.json", Access.ANYONE, openapi, "This description"),
    Route("GET", "/", Access.ANYONE, page, "The page"),
    Route("GET", r"/{file:(?:assets/)?[A-Za-z0-9_.-]+}", Access.ANYONE, page, "Files of the page"),
)
