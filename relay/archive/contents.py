"""The digest of an extraction's files, apart from the archive around them.

Owns: that digest.  Must never know: where the files are, what they mean.

An archive that a mail program packed anew has another digest, although every file in it is the same.  This one is that of
FORMAT.md §7.8: a verdict prints it, and anybody can compute it with `sha256sum`.
"""

import hashlib
from collections.abc import Mapping


def content_digest(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 (hex) over one line a file, sorted by name: its own SHA-256 in hex, two spaces, its name.

    `files`: name, relative to the recording's folder, to the SHA-256 (32 bytes) of its content.
    """
    lines = (f"{files[name].hex()}  {name}\n" for name in sorted(files, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
