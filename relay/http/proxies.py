"""Who really asks, when a proxy stands in front of the relay: the caller's address, scheme and host (RFC 7239).

Owns: which forwarding headers are believed, and from whom.  Must never know: requests, routes, limits.

Rules:
* Only a peer inside the trusted networks is believed.  From anybody else every forwarding header is ignored.
* The caller is the rightmost address that is not trusted itself: each proxy appends the address that it saw, so that what
  stands further left was written by the caller.
* `Forwarded` and `X-Forwarded-For` must name the same caller where both are present.  Most proxies write one and pass the other
  on as it came, so that a caller could write it.  Where they differ, neither is believed: the request counts as the proxy's.

`aiohttp-remotes` was looked at and not taken: it works on requests inside the application, so that connections and malformed
requests have no address there, and its filter does not ask whether the peer itself may be believed.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from relay.base.addresses import parse_address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks: TypeAlias = tuple[Network, ...]

MAX_HOPS = 32
"""Elements of a forwarding header that are read, from the right; no sound chain of proxies is longer."""

FORWARDED = "forwarded"
FORWARDED_FOR = "x-forwarded-for"
_SIGNS = frozenset({FORWARDED, "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"})
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*')
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Caller:
    """The address of the person or camera behind a request; scheme and host as the trusted proxy says, else None."""

    address: str
    scheme: str | None = None
    host: str | None = None


def client_address(peer: str | None, headers: Mapping[str, str] | Iterable[tuple[str, str]], trusted: Networks) -> str:
    """Return the address of the caller; see the rules above.

    `peer`: the other end of the connection, None for a Unix socket.  `headers`: names and values, in order.
    """
    return caller(peer, headers, trusted).address


def caller(peer: str | None, headers: Mapping[str, str] | Iterable[tuple[str, str]], trusted: Networks) -> Caller:
    """Return the caller of a request; see `client_address`."""
    own = _normal(peer)
    if not is_trusted(peer, trusted):
        return Caller(own)
    lists = _gather(headers)
    standard = _elements(lists.get(FORWARDED, []))
    hops = _split(lists.get(FORWARDED_FOR, []))
    found = {
        _walk(own, names, trusted)
        for names, present in (([one.get("for") for one in standard], FORWARDED in lists), (hops, FORWARDED_FOR in lists))
        if present
    }
    last = standard[-1] if standard else {}
    scheme = _last(lists, "x-forwarded-proto") or last.get("proto")
    host = _last(lists, "x-forwarded-host") or last.get("host")
    return Caller(
        found.pop() if len(found) == 1 else own,
        scheme.lower() if scheme is not None and scheme.lower() in {"http", "https"} else None,
        host if host is not None and _HOST.fullmatch(host) else None,
    )


def is_trusted(peer: str | None, trusted: Networks) -> bool:
    """Return whether an address lies in one of the networks."""
    address = parse_address(peer)
    return address is not None and any(address in network for network in trusted if network.version == address.version)


def is_forwarded(names: Iterable[str]) -> bool:
    """Return whether any of these header names is a sign that a proxy passed the request on."""
    return any(name.lower() in _SIGNS or name.lower().startswith("x-forwarded-") for name in names)


def networks(texts: Iterable[str]) -> Networks:
    """Return networks from their texts, `10.0.0.0/8` or one address; raises ValueError."""
    return tuple(ipaddress.ip_network(text.strip()) for text in texts)


def _gather(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the values of each header, in order, by lower-case name."""
    lists: dict[str, list[str]] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        lists.setdefault(name.lower(), []).append(value)
    return lists


def _split(values: list[str]) -> list[str | None]:
    return [part.strip() for part in ",".join(values).rsplit(",", MAX_HOPS)[-MAX_HOPS:]]


def _last(lists: dict[str, list[str]], name: str) -> str | None:
    return _split(lists[name])[-1] if name in lists else None


def _elements(values: list[str]) -> list[dict[str, str]]:
    """Return the elements of `Forwarded` (RFC 7239 §4); an element that cannot be read is empty and stops the walk."""
    found = []
    for text in _outside_quotes(",".join(values), ",")[-MAX_HOPS:]:
        pairs = [_PAIR.fullmatch(part) for part in _outside_quotes(text, ";") if part.strip()]
        read = [pair for pair in pairs if pair is not None]
        whole = len(read) == len(pairs)
        found.append({pair[1].lower(): _unescaped(pair) for pair in read} if whole else {})
    return found


def _unescaped(pair: re.Match[str]) -> str:
    return pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])


def _outside_quotes(text: str, separator: str) -> list[str]:
    """Split at a separator, but not within a quoted string (RFC 9110 §5.6.4)."""
    parts, start, quoted, escaped = [], 0, False, False
    for at, sign in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and sign == "\\":
            escaped = True
        elif sign == '"':
            quoted = not quoted
        elif sign == separator and not quoted:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _walk(own: str, names: list[str | None], trusted: Networks) -> str:
    """Return the rightmost address that is not trusted.  A name that is no address stops at the proxy that wrote it."""
    address = own
    for name in reversed(names):
        parsed = parse_address(_without_port(name or ""))
        if parsed is None:
            break
        address = str(parsed)
        if not is_trusted(address, trusted):
            break
    return address


def _without_port(node: str) -> str:
    """Return the address of a node: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1` (RFC 7239 §6)."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    host, colon, port = node.partition(":")
    return host if colon and ":" not in port else node


def _normal(peer: str | None) -> str:
    parsed = parse_address(peer)
    return str(parsed) if parsed is not None else peer or "?"
