"""What a process gets at its start: a configuration in a file, and secrets on its standard input, which no file ever holds.

Owns: the form of both (JSON objects; bytes are base64) and how they become one.  Must never know: which settings there are.
"""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from relay.base.errors import OurError

T = TypeVar("T")


def load_config(path: Path, handed_over: bytes, kind: type[T]) -> T:
    """Return the configuration in the file with what was handed over; raises OurError where they do not decode to `kind`."""
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict)
        handed: dict[str, Any] = msgspec.json.decode(handed_over, type=dict) if handed_over else {}
        return msgspec.convert(found | handed, type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise OurError(f"configuration {path.name}: {error}") from error
