"""Internet addresses as limits see them.

Owns: how an address is read, and which addresses count as one.  Must never know: who counts, what for; sockets.
"""

import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str | None) -> Address | None:
    """Return an address, an IPv4-mapped IPv6 one as IPv4, without its zone; None for anything else."""
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def source_of(address: str) -> str:
    """Return the key under which limits count an address: an IPv6 host owns its whole /64 (RFC 4291 §2.5.4)."""
    parsed = parse_address(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return address if parsed is None else str(parsed)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
