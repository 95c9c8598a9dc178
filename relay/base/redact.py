"""What must never reach a log line: addresses, tokens, names of persons (LIL art. 99; THREAT_MODEL.md)."""

import re

_PATTERNS = (
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "<ipv4>"),
    (re.compile(r"\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}\b"), "<ipv6>"),
    (re.compile(r"\b[A-Za-z0-9_-]{43}\b"), "<token>"),
    (re.compile(r"(a=ice-pwd:|a=ice-ufrag:)\S+"), r"\1<secret>"),
)


def redact(text: str) -> str:
    """Return `text` without IP addresses, tokens and ICE credentials."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
