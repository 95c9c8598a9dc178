"""What was agreed with a camera for one m-line.

Owns: the shape of that agreement inside the fan-out.  Must never know: SDP, sockets.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """One m-line of a camera; extension ids are None where the camera does not have them."""

    kind: Literal["video", "audio"]
    mid: str
    payload_type: int
    clock_rate: int
    fmtp: str = ""
    rtx_payload_type: int | None = None
    ssrcs: tuple[int, ...] = ()
    rtx: tuple[tuple[int, int], ...] = ()
    """(RTX SSRC, primary SSRC) pairs."""
    rids: tuple[str, ...] = ()
    mid_id: int | None = None
    rid_id: int | None = None
    rrid_id: int | None = None
    transport_cc_id: int | None = None
    nack: bool = False
    pli: bool = False
    fir: bool = False
    sli: bool = False
    remb: bool = False
