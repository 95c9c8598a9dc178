"""At which addresses of the relay a camera or viewer is told to look for its media: the candidates of an answer.

Owns: which addresses are offered, and in which order.  Must never know: HTTP, sockets, SDP.

Theory.  A caller that got its request through knows one good address: the one that the request came to.  It goes first, because
some clients try the first candidate only (FFmpeg).  The order:

1. the address that the caller wrote into its URL, if it is one (before a NAT or a container only this one is right), and if it
   is not one of this machine's at which media are not served;
2. the addresses of `workers.advertise` that are of the caller's kind: public ones for callers from the internet (the outside of
   a NAT), private ones for callers from a private network (the host of a container);
3. for callers from the internet the other addresses of `workers.advertise`;
4. the address at which the request came in, if media are served there; a proxy's connection says nothing of the caller's way;
5. the other addresses at which media are served, those of the same family first; not where `workers.advertise` and 4 are known;
6. what is left of `workers.advertise`.

Loopback is offered to callers that came in by loopback, or where there is nothing else.  IPv6 addresses that are valid on one
link only are never offered: they need an interface of the caller's beside them.
"""

import ipaddress
import logging
import math
from collections.abc import Callable
from typing import Final, NamedTuple

from relay.base.addresses import parse_address
from relay.base.counters import Counters, declare
from relay.runtime.host_addresses import HostAddresses
from relay.transport.binding import reachable

declare(candidates_astray="answers whose candidates their caller can hardly reach: loopback only, to a caller elsewhere")

logger = logging.getLogger(__name__)

MAX_HOSTS: Final = 12
"""Each makes two lines in every m-line of an answer."""
WARN_SECONDS: Final = 60.0
UNREACHABLE: Final = (
    "a caller on another machine is offered no address that it can reach: set workers.host, and workers.advertise behind NAT; "
    "`relay doctor` lists what is offered"
)


class Reach(NamedTuple):
    """How a request reached the relay."""

    local: str | None
    """The address of ours that it came to; None where a proxy stands between."""
    caller: str
    """The caller's address."""
    named: str | None = None
    """The host of the URL that the caller used."""


class MediaAddresses:
    """Chooses by the settings and by what the machine has now.

    `bound`: the addresses that workers bind (resolved); `advertise`: as in the settings; `machine`: this machine's addresses.
    """

    def __init__(
        self,
        bound: tuple[str, ...],
        advertise: tuple[str, ...],
        machine: HostAddresses,
        monotonic: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._bound = bound
        self._advertise = advertise
        self._machine = machine
        self._monotonic = monotonic
        self._counters = counters
        self._warn_at = -math.inf

    def offered(self, reach: Reach) -> tuple[str, ...]:
        """Return the addresses for a caller, the best first; () where none is known."""
        found = offered(reach, self._bound, self._advertise, self._machine.now())
        if is_astray(found, reach):
            self._counters.count("candidates_astray")
            if self._monotonic() >= self._warn_at:
                self._warn_at = self._monotonic() + WARN_SECONDS
                logger.warning(UNREACHABLE)
        return found

    def close(self) -> None:
        """Let go of the socket that tells the machine's addresses."""
        self._machine.close()


def offered(reach: Reach, bound: tuple[str, ...], advertise: tuple[str, ...], machine: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses for a caller, the best first; the rules are at the head of this file."""
    local = _plain(reach.local)
    served = _served(local, bound, machine)
    direct = [local] if local is not None and local in served else []
    own = direct if advertise and direct else _ordered(served, direct)
    if advertise and not direct:
        own = [host for host in own if not _is_loopback(host)]
    is_outside = _is_public(reach.caller)
    alike = [host for host in advertise if _is_public(host) is is_outside]
    named = [host for host in _named(reach.named) if host in served or host not in (local, *machine)]
    found = [*named, *alike, *(advertise if is_outside else ()), *own, *advertise]
    return tuple(dict.fromkeys(found))[:MAX_HOSTS]


def is_astray(hosts: tuple[str, ...], reach: Reach) -> bool:
    """Return whether a caller elsewhere is offered nothing but loopback, or nothing at all.

    Behind a proxy that the settings do not name, the caller's address is the proxy's: such callers count as elsewhere.
    """
    is_elsewhere = reach.local is None or not _is_loopback(reach.caller)
    return is_elsewhere and all(_is_loopback(host) for host in hosts)


def _served(local: str | None, bound: tuple[str, ...], machine: tuple[str, ...]) -> list[str]:
    """Return where media are served.  A wildcard serves `local`, too, where the kernel lists no addresses."""
    known = machine if local is None else (*machine, local)
    return [host for host in dict.fromkeys(reachable(bound, known)) if not _is_of_link(host)]


def _ordered(served: list[str], direct: list[str]) -> list[str]:
    others = [host for host in served if host not in direct and not _is_loopback(host)]
    if direct:
        others.sort(key=lambda host: (":" in host) != (":" in direct[0]))
    return [*direct, *others] or served


def _named(host: str | None) -> tuple[str, ...]:
    """Return the address of a URL's host; nothing for a name."""
    address = parse_address(host)
    usable = address is not None and not (address.is_unspecified or address.is_multicast or address.is_link_local)
    return (str(address),) if usable else ()


def _plain(host: str | None) -> str | None:
    address = parse_address(host)
    return None if address is None else str(address)


def _is_public(host: str) -> bool:
    """Whether an address belongs to the internet; one that is not known counts as such."""
    address = parse_address(host)
    return address is None or address.is_global


def _is_loopback(host: str) -> bool:
    address = parse_address(host)
    return address is not None and address.is_loopback


def _is_of_link(host: str) -> bool:
    address = parse_address(host)
    return isinstance(address, ipaddress.IPv6Address) and address.is_link_local
