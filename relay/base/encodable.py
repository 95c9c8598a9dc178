"""Text for a terminal or a file that cannot hold every character: a Windows code page, ASCII.

Owns: what stands for a character that the stream's encoding lacks.  Must never know: what is printed.

Python raises UnicodeEncodeError for such a character, and a program that ends on it has an exit code that means something
else.  So each stream gets an error handler: `→` becomes `->`, `é` becomes `e`, anything else its escape (`\\u2713`).
"""

import codecs
import unicodedata
from typing import TextIO

_HANDLER = "relay.encodable"
_PLAIN = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "·": "-",
        "…": "...",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "«": '"',
        "»": '"',
        "–": "-",
        "—": "-",
        "×": "x",
        "œ": "oe",
        "Œ": "OE",
        "\u00a0": " ",
        "\u202f": " ",
        "\ufffd": "?",
        **dict.fromkeys("─━╌╴╶", "-"),
        **dict.fromkeys("│┃╎╵╷", "|"),
        **dict.fromkeys("┌┏┐┓└┗┘┛├┡┢┣┤┩┪┫┬┳┴┻┼╇╈╋", "+"),
    }
)


def encodable(text: str, encoding: str) -> str:
    """Return `text` with every character that `encoding` lacks replaced."""
    return text.encode(encoding, _HANDLER).decode(encoding)


def let_every_text_pass(*streams: TextIO | None) -> None:
    """Make these streams replace what they cannot encode.  A stream that is closed, or not a file's, stays as it is."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_plain(letter) for letter in error.object[error.start : error.end]), error.end


def _plain(letter: str) -> str:
    """Return ASCII for a letter."""
    bare = unicodedata.normalize("NFKD", letter.translate(_PLAIN)).encode("ascii", "ignore").decode("ascii")
    return bare or letter.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(_HANDLER, _replace)
