"""Removes addresses and secrets from log lines (LIL art. 99; THREAT_MODEL.md).

Owns: the patterns.  Must never know: who logs.  No pattern finds names of persons: callers do not log
them.
"""

import ipaddress
import re

_PATTERNS = (
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "<ipv4>"),
    (re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), "<token>"),
    (re.compile(r"(a=ice-pwd:|a=ice-ufrag:)\S+"), r"\1<secret>"),
)
_MAYBE_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F:]*:[0-9a-fA-F:.]*:(?:[0-9a-fA-F:.]*[0-9a-fA-F:])?")


def _ipv6(match: re.Match[str]) -> str:
    """Replace a match that parses as an IPv6 address; 21:04:10 is a time."""
    try:
        ipaddress.IPv6Address(match.group())
    except ValueError:
        return match.group()
    return "<ipv6>"


def redact(text: str) -> str:
    """Return `text` without IP addresses, tokens and ICE credentials."""
    text = _MAYBE_IPV6.sub(_ipv6, text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
