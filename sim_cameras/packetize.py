"""H.264 access units to RTP payloads (RFC 6184, packetization-mode 1).

Owns: the split.  Must never know: RTP headers or sockets.
"""

from collections.abc import Iterator

MAX_PAYLOAD = 1180
_STAP_A = 24
_FU_A = 28
_START, _END = 0x80, 0x40
_PARAMETER_SETS = (7, 8)


def units(annex_b: bytes) -> Iterator[bytes]:
    """Yield the NAL units of an Annex B byte stream, without start codes."""
    at = annex_b.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        at = annex_b.find(b"\0\0\1", begin)
        nal = annex_b[begin:] if at < 0 else annex_b[begin:at]
        yield nal.rstrip(b"\0") if at >= 0 else nal


def payloads(annex_b: bytes, most: int = MAX_PAYLOAD) -> tuple[bytes, ...]:
    """Return the RTP payloads of one access unit: parameter sets in a STAP-A, large units in FU-As, each <= `most` bytes."""
    sets, out = [], []
    for nal in units(annex_b):
        if nal[0] & 31 in _PARAMETER_SETS:
            sets.append(nal)
        elif len(nal) <= most:
            out.append(nal)
        else:
            out += _fragments(nal, most)
    if sets:
        out.insert(0, sets[0] if len(sets) == 1 else _aggregate(sets))
    return tuple(out)


def _aggregate(nals: list[bytes]) -> bytes:
    """Return one STAP-A (RFC 6184 §5.7.1)."""
    importance = max(nal[0] & 0x60 for nal in nals)
    return bytes([importance | _STAP_A]) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragments(nal: bytes, most: int) -> list[bytes]:
    """Return FU-As (RFC 6184 §5.8) of nearly equal size."""
    body = memoryview(nal)[1:]
    count = -(-len(body) // (most - 2))
    size = -(-len(body) // count)
    indicator, kind = nal[0] & 0xE0 | _FU_A, nal[0] & 31
    out = []
    for at in range(0, len(body), size):
        mark = (_START if at == 0 else 0) | (_END if at + size >= len(body) else 0)
        out.append(bytes([indicator, mark | kind]) + bytes(body[at : at + size]))
    return out
