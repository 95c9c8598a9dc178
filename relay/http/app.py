"""The application: every route of every resource, each behind its access check.

Owns: the list of resources.  Must never know: what they do.
"""

from aiohttp import web

from relay.http import (
    cameras,
    check,
    exports,
    holds,
    interventions,
    journal,
    live,
    recordings,
    sign_in,
    system,
    users,
    wall,
    whep,
    whip,
)
from relay.http.bodies import MAX_SDP
from relay.http.connections import attended
from relay.http.context import CONTEXT, ROUTES, Context, Route
from relay.http.endpoints import cors
from relay.http.middleware import add_headers, answer, guarded

RESOURCES = (sign_in, interventions, cameras, recordings, exports, holds, journal, users, check, whip, whep, wall, live, system)

SWITCHING = 101
"""Routes that open a socket: a HEAD of them would mean nothing."""


def all_routes() -> tuple[Route, ...]:
    """Return every route."""
    return tuple(route for resource in RESOURCES for route in resource.ROUTES)


def make_app(services: Context) -> web.Application:
    """Return the application; every route is behind its access check, and routes are added in no other way."""
    app = web.Application(middlewares=[attended, cors, answer], client_max_size=MAX_SDP)
    routes = all_routes()
    app[CONTEXT] = services
    app[ROUTES] = routes
    for route in routes:
        handler = guarded(route)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET" and route.status != SWITCHING:
            app.router.add_route("HEAD", route.path, handler)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_hang_up)
    return app


async def _hang_up(app: web.Application) -> None:
    """Close the live sockets at shutdown: the server would otherwise wait for each of them."""
    app[CONTEXT].live.close("the relay stops")
    app[CONTEXT].camera_sockets.close()
