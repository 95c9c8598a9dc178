"""Which file of a folder or an archive is what.

Owns: names of segments and copies, where the recording's folder is, and what form of a recording it holds (FORMAT.md §1).
Must never know: what is in the files.
"""

import re

from relay.base.errors import Kind, TheirError
from relay.evidence.chain_file import CHAIN
from relay.evidence.container import is_left_by_name
from relay.evidence.media import Reader, SubfolderReader
from relay.evidence.verdict import Form

SEGMENT = re.compile(r"\d{5}\.(seg|mp4)")
"""The file of a segment."""
PLAYABLE = re.compile(r"(?:.*/)?[^/]+\.(mp4|m4v|mov)[. ]*", re.IGNORECASE | re.DOTALL)
"""A file that plays: a segment of an export, else a derived copy.  Windows leaves out dots and spaces at the end."""


def locate(reader: Reader) -> Reader:
    """Return a reader whose `chain` is at the top: exports put the sealed files in a folder named after the recording.

    Raises TheirError where there are several recordings: each has its own verdict.
    """
    names = reader.names()
    chains = [name for name in names if name.endswith(f"/{CHAIN}") and not is_left_by_name(name)]
    folders = [name.removesuffix(f"/{CHAIN}") for name in chains]
    if CHAIN in names or not folders:
        return reader
    if len(folders) > 1:
        raise TheirError(Kind.INVALID, f"{len(folders)} recordings: verify one at a time")
    return SubfolderReader(reader, folders[0])


def form_of(names: list[str], recording_key: bytes | None) -> Form:
    """Return what these files are; with the recording's key a vault folder is opened."""
    kinds = {found[1] for name in names if (found := SEGMENT.fullmatch(name))}
    if "seg" in kinds:
        return Form.STORED if recording_key is None else Form.OPENED
    if "mp4" in kinds:
        return Form.EXPORT
    if any(PLAYABLE.fullmatch(name) for name in names):
        return Form.DERIVED
    return Form.STORED
