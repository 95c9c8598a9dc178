"""As much of a text as fits into so many bytes.

Owns: where a text that is too long is cut.  Must never know: whose text it is, what it is for.
"""


def clip(text: str, max_bytes: int) -> str:
    """Return as much of `text` as fits into `max_bytes` of UTF-8, cut between characters; a lone surrogate becomes `?`."""
    return text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
