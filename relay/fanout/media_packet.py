"""One media packet inside the relay: parsed once, shared by all legs, never changed.

What this file owns: the shape that the cores hand each other.  What it must never know: viewers.
"""


class MediaPacket:
    """A plain packet of a camera without its header; `index` is the unwrapped sequence number of its stream."""

    __slots__ = ("arrival", "droppable", "idr", "index", "keyframe", "marker", "payload", "timestamp")

    def __init__(
        self,
        index: int,
        timestamp: int,
        marker: bool,
        payload: bytes,
        arrival: float,
        *,
        keyframe: bool = False,
        idr: bool = False,
        droppable: bool = False,
    ) -> None:
        self.index = index
        self.timestamp = timestamp
        """RTP timestamp as the camera sent it, 32 bits."""
        self.marker = marker
        self.payload = payload
        self.arrival = arrival
        self.keyframe = keyframe
        """A decoder may start in the access unit that this packet belongs to."""
        self.idr = idr
        """Belongs to the access unit of an IDR picture."""
        self.droppable = droppable
        """No other picture refers to this one."""
