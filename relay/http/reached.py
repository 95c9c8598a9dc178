"""How a request reached the relay, for the candidates of its answer.

Owns: what of a request tells it.  Must never know: how candidates are chosen.
"""

from aiohttp import web

from relay.http.context import caller, context
from relay.http.proxies import is_forwarded, is_trusted
from relay.live.media_addresses import Reach


def media_hosts(request: web.Request) -> tuple[str, ...]:
    """Return the addresses of ours that the caller's media may come to, the best first."""
    return context(request).media_addresses.offered(reach_of(request))


def reach_of(request: web.Request) -> Reach:
    """Return how a request came: through a proxy its connection says nothing of the caller's way."""
    asked = caller(request)
    if is_proxied(request):
        return Reach(None, asked.address, _without_port(asked.host or ""))
    local = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return Reach(str(local[0]) if isinstance(local, tuple) else None, asked.address, _without_port(request.host))


def is_proxied(request: web.Request) -> bool:
    """Return whether a proxy stands between the caller and the relay, or may do so."""
    options = context(request).options
    return options.behind_proxy or is_trusted(request.remote, options.trusted_proxies) or is_forwarded(request.headers.keys())


def _without_port(host: str) -> str:
    """Return the host of `192.0.2.1:8080`, `[2001:db8::1]:8080` or `relay.example`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
