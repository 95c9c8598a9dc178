"""The load: cameras that send and sinks that count, in one process (and network namespace) of its own.

Owns: the sockets of cameras and sinks.  Must never know: which server is measured.  Speaks JSON lines on standard input and
output with `scripts.benchmarks.rig`.  Times are CLOCK_REALTIME nanoseconds: the kernel stamps each arrival (SO_TIMESTAMPNS),
so that this process being late does not count against the server.
"""

import heapq
import json
import random
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque
from typing import Any

from scripts.benchmarks.silences import silences
from scripts.benchmarks.thin import UDP_GRO, VIDEO_PT, Answer, Media, ThinPeer
from scripts.benchmarks.video import GOP, MARK_BYTES, frames, mark, marked

SO_TIMESTAMPNS = 35
SWEEP_SECONDS = 0.005
"""Seconds between two looks at the sinks.  They wake by their own clock: a receiver that sleeps on its socket is woken by the
server's own system call, which on a virtual machine costs the server 50 to 100 µs that no real network would ask of it."""
HEADER = struct.Struct("!BBHII")
NUMBER_BITS = 40
"""A mark is the camera's index and, in its lower bits, the packet's number."""
QUIET, MAX_DRAIN = 0.1, 0.6
"""A run begins and ends with nothing under way: it waits for so long a silence, and no longer than that, seconds."""


class Source:
    """One camera: paced frames, each as one burst (as browsers do) or spread over the frame time (as radios do)."""

    def __init__(self, host: str, index: int, kbps: int, fps: int, spread: bool) -> None:
        self.mark = index << NUMBER_BITS
        self.ssrc = random.getrandbits(31)
        self.peer = ThinPeer(host, [Media("video", "sendonly", self.ssrc), Media("audio", "sendonly", self.ssrc + 1)])
        self.units = frames(kbps, fps, width=1280 if kbps > 800 else 640, height=720 if kbps > 800 else 360)
        self.interval, self.spread = 1 / fps, spread
        self.sequence = self.number = self.frame = 0
        self.media_time = 0.0
        self.sent_at = array("q")
        self.key_ranges: list[tuple[int, int]] = []
        self.queue: deque[tuple[float, bytes]] = deque()
        self.connected = False
        self.is_held = False
        """It sends checks, and no media yet."""
        self.slower = 1
        """It films so many times fewer pictures a second than it was made for."""

    def start(self, now: float) -> None:
        """Begin to send."""
        self.seal = self.peer.sealer().protect
        self.peer.sock.setblocking(False)
        self.connected = True
        self.next_frame, self.next_check = now, now + 1

    def resume(self, now: float) -> None:
        """Skip the pictures that were due between two runs."""
        late = max(0.0, now - self.next_frame)
        step = self.interval * self.slower
        self.next_frame += -(-late // step) * step  # cameras do not tick together: each keeps its phase

    def flush(self) -> None:
        """Send the rest of the last picture: a run has whole pictures."""
        for _, packet in self.queue:
            self._send(packet)
        self.queue.clear()

    def tick(self, now: float) -> float:
        """Send what is due; return when to be called again."""
        while now >= self.next_frame and not self.is_held:
            self._make_frame(self.next_frame)
            self.next_frame += self.interval * self.slower
        while self.queue and now >= self.queue[0][0]:
            self._send(self.queue.popleft()[1])
        if now >= self.next_check:
            self.peer.check()
            self.next_check = now + 2
        return self.next_check if self.is_held else min([self.next_frame, *([self.queue[0][0]] if self.queue else [])])

    def _send(self, packet: bytes) -> None:
        self.sent_at.append(time.time_ns())
        self.peer.sock.sendto(packet, self.peer.address)

    def _make_frame(self, due: float) -> None:
        unit = self.units[self.frame % len(self.units)]
        stamp = int(self.media_time) & 0xFFFFFFFF
        self.media_time += 90_000 * self.interval * self.slower
        if self.frame % len(self.units) % GOP == 0:
            self.key_ranges.append((self.number, self.number + len(unit)))
        step = self.interval / len(unit) if self.spread else 0.0
        for position, payload in enumerate(unit):
            marker = 0x80 if position == len(unit) - 1 else 0
            header = HEADER.pack(0x80, VIDEO_PT | marker, self.sequence & 0xFFFF, stamp, self.ssrc)
            body = payload[:-MARK_BYTES] + mark(self.mark | self.number) if len(payload) > 100 else payload
            self.queue.append((due + step * position, self.seal(header + body)))
            self.sequence, self.number = self.sequence + 1, self.number + 1
        self.frame += 1

    def read(self) -> None:
        """Read what the relay says, and forget it."""
        try:
            while True:
                self.peer.sock.recv(2048)
        except BlockingIOError:
            pass


class Looking:
    """Finds a camera's first whole keyframe in a stream's plain packets: from its first slice to its marker."""

    def __init__(self, camera: int) -> None:
        self.camera = camera
        self.expected: int | None = None
        self.key = False

    def take(self, packet: bytes) -> bool:
        """Take the next packet; return whether it completes a keyframe."""
        sequence = packet[2] << 8 | packet[3]
        if self.expected is not None and sequence != self.expected:
            self.key = False
        self.expected = (sequence + 1) & 0xFFFF
        payload = payload_of(packet)
        if not payload:
            return False
        kind = payload[0] & 31
        if kind == 28:  # FU-A (RFC 6184 §5.8): the type is in the second byte, the first bit says whether it begins
            self.key = self.key or (payload[1] & 31 == 5 and bool(payload[1] & 0x80))
        else:
            self.key = self.key or kind == 5
        whole = self.key and bool(packet[1] & 0x80) and len(payload) > MARK_BYTES
        return whole and marked(payload[-MARK_BYTES:]) >> NUMBER_BITS == self.camera


def payload_of(packet: bytes) -> bytes:
    """Return what is behind header, extensions and before the padding of a plain RTP packet (RFC 3550 §5.1)."""
    at = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    return packet[at : len(packet) - (packet[-1] if packet[0] & 0x20 else 0)]


class Sink:
    """One viewer: counts, follows sequence numbers, opens the last packet of each frame to know how long it took."""

    def __init__(self, host: str, videos: int, audio: bool, controlling: bool) -> None:
        media = [Media("video", "recvonly") for _ in range(videos)] + [Media("audio", "recvonly")] * audio
        self.peer = ThinPeer(host, media, controlling=controlling)
        self.buffer = bytearray(1 << 17)
        self.connected = False
        self.measuring = False
        self.looking: Looking | None = None
        self.picture_ns = 0
        self.expected: dict[int, int] = {}
        self.reset()

    def watch(self, camera: int) -> None:
        """Look for the first whole keyframe of a camera (its index) from now on: opens every packet until it is found."""
        self.looking, self.picture_ns = Looking(camera), 0

    def reset(self) -> None:
        """Count from zero."""
        self.packets = self.bytes = self.lost = self.reads = 0
        self.delays: list[tuple[int, int]] = []

    def start(self) -> None:
        """Count only from now on."""
        self.peer.count_only()
        self.peer.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.open = self.peer.opener().unprotect
        self.connected = True

    def read(self) -> None:
        """Read everything that waits."""
        while True:
            try:
                size, ancillary, _, _ = self.peer.sock.recvmsg_into([self.buffer], 128)
            except BlockingIOError:
                return
            self.reads += 1
            segment, stamp = size, 0
            for _, kind, data in ancillary:
                if kind == UDP_GRO:
                    segment = struct.unpack_from("=H", data)[0] or size
                elif kind == SO_TIMESTAMPNS:
                    seconds, nanos = struct.unpack("=qq", data)
                    stamp = seconds * 1_000_000_000 + nanos
            self._count(size, segment, stamp)

    def _count(self, size: int, segment: int, stamp: int) -> None:
        buffer = self.buffer
        if buffer[0] < 2:
            self.peer.answer_check(bytes(buffer[:size]))
        if buffer[0] & 0xC0 != 0x80 or 192 <= buffer[1] <= 223:
            return
        if self.looking is not None:
            self._look(size, segment, stamp)
        count = -(-size // segment)
        first, ssrc = buffer[2] << 8 | buffer[3], int.from_bytes(buffer[8:12], "big")
        expected = self.expected.get(ssrc, first)
        gap = (first - expected) & 0xFFFF
        if gap < 0x8000:
            self.lost += gap
            self.expected[ssrc] = (first + count) & 0xFFFF
        self.packets += count
        self.bytes += size
        last = (count - 1) * segment
        if self.measuring and buffer[last + 1] & 0x80 and size - last > 120:
            self._measure(bytes(buffer[last:size]), stamp)

    def _look(self, size: int, segment: int, stamp: int) -> None:
        assert self.looking
        for at in range(0, size, segment):
            try:
                plain = self.open(bytes(self.buffer[at : min(at + segment, size)]))
            except Exception:  # its own last packet of a burst is opened once more by `_measure`, and refused there
                continue
            if self.looking.take(plain):
                self.looking, self.picture_ns = None, stamp
                return

    def _measure(self, packet: bytes, stamp: int) -> None:
        try:
            plain = self.open(packet)
        except Exception:
            return
        end = len(plain) - (plain[-1] if plain[0] & 0x20 else 0)
        self.delays.append((marked(plain[end - MARK_BYTES : end]), stamp))


class Load:
    """All sources and sinks of a run."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.keep = 0.0
        self.sources: list[Source] = []
        self.sinks: list[Sink] = []

    def add_source(
        self, kbps: int = 2000, fps: int = 30, spread: bool = False, trick: str = "", held: bool = False
    ) -> dict[str, Any]:
        """Make a camera, one that plays a trick (`hostile`) where it is given; answers with its offer.

        A camera that is `held` sends no media before `begin`.
        """
        source = Source(self.host, len(self.sources), kbps, fps, spread) if not trick else self._hostile(trick)
        source.is_held = held
        self.sources.append(source)
        return {"index": len(self.sources) - 1, "offer": source.peer.offer("active")}

    def _hostile(self, trick: str) -> Source:
        from scripts.benchmarks.hostile import Hostile  # which builds on this module

        return Hostile(self.host, len(self.sources), trick)

    def begin(self, count: int, slower: int = 1) -> dict[str, Any]:
        """Have the next so many held cameras film (so many times `slower`); answers with how many there were."""
        held = [source for source in self.sources if source.is_held][:count]
        for source in held:
            source.is_held, source.slower = False, slower
        return {"begun": len(held)}

    def quicken(self, count: int) -> dict[str, Any]:
        """Have the next so many slow cameras film as many pictures as they were made for; answers with how many there were."""
        slow = [source for source in self.sources if source.slower > 1][:count]
        for source in slow:
            source.slower = 1
        return {"quickened": len(slow)}

    def add_sink(self, videos: int = 1, setup: str = "actpass", audio: bool = True, controlling: bool = True) -> dict[str, Any]:
        """Make a viewer; answers with its offer."""
        sink = Sink(self.host, videos, audio, controlling=controlling)
        self.sinks.append(sink)
        return {"index": len(self.sinks) - 1, "offer": sink.peer.offer(setup)}

    def connect(self, what: str, index: int, host: str, port: int, ufrag: str, pwd: str) -> dict[str, Any]:
        """Connect a peer to the server that answered it."""
        peer = (self.sources if what == "source" else self.sinks)[index].peer
        started = time.monotonic()
        peer.connect(Answer(host, port, ufrag, pwd))
        if what == "sink":
            self.sinks[index].start()
        else:
            self.sources[index].start(time.monotonic())
        return {"seconds": time.monotonic() - started}

    def run(self, seconds: float, delays: bool = True, settle: bool = True) -> dict[str, Any]:
        """Send and count for `seconds`; answers with what each sink saw.

        Everything sent by then, and nothing else, counts, unless it is not to `settle` (one run goes over into the next).
        """
        poll = select.epoll()
        by_fd = {sink.peer.sock.fileno(): sink for sink in self.sinks if sink.connected}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        self._drain(poll, by_fd, settle)
        for sink in self.sinks:
            sink.reset()
            sink.measuring = delays
        sent = [source.number for source in self.sources]
        busy, begun = time.process_time(), time.monotonic()
        self._loop(seconds, poll, by_fd)
        busy = (time.process_time() - busy) / (time.monotonic() - begun)
        self._drain(poll, by_fd, settle)
        poll.close()
        numbers = [source.number - before for source, before in zip(self.sources, sent, strict=True)]
        return {**self._report(numbers, delays), "busy": busy}

    def _loop(self, seconds: float, poll: select.epoll, sinks: dict[int, Sink]) -> None:
        now = time.monotonic()
        end = now + seconds
        sources = [source for source in self.sources if source.connected]
        by_fd: dict[int, Source | Sink] = {source.peer.sock.fileno(): source for source in sources}
        for fd, source in zip(by_fd, sources, strict=True):
            poll.register(fd, select.EPOLLIN)
            source.resume(now)
        by_fd.update(sinks)
        # Who is due next stands first: a hundred cameras must not cost a look at each for every packet.
        due = [(now, at) for at in range(len(sources))]
        while now < end:
            while due and due[0][0] <= now:
                at = due[0][1]
                heapq.heapreplace(due, (sources[at].tick(now), at))
            if now >= self.keep:
                self.keep = now + 2.5
                for sink in sinks.values():
                    sink.peer.check()
            time.sleep(max(0.0, min(min([end, self.keep, *(each[0] for each in due[:1])]) - time.monotonic(), SWEEP_SECONDS)))
            for fd, _ in poll.poll(0):
                by_fd[fd].read()
            now = time.monotonic()
        for source in sources:
            poll.unregister(source.peer.sock.fileno())
            source.flush()

    def _drain(self, poll: select.epoll, by_fd: dict[int, Sink], settle: bool) -> None:
        end = time.monotonic() + (MAX_DRAIN if settle else 0)
        while time.monotonic() < end:
            ready = poll.poll(QUIET)
            if not ready:
                return
            for fd, _ in ready:
                by_fd[fd].read()

    def pictures(self, sinks: list[int], seconds: float = 5.0) -> dict[str, Any]:
        """Wait until each of these sinks has a whole keyframe; answers with when (UTC ns; 0: never)."""
        chosen = {self.sinks[index].peer.sock.fileno(): self.sinks[index] for index in sinks}
        poll = select.epoll()
        for fd in chosen:
            poll.register(fd, select.EPOLLIN)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not all(sink.picture_ns for sink in chosen.values()):
            for fd, _ in poll.poll(0.05):
                chosen[fd].read()
        poll.close()
        return {"picture_ns": [sink.picture_ns for sink in chosen.values()]}

    def silences(self) -> dict[str, Any]:
        """Answer with when each camera sent nothing for long, since it began (`silences`)."""
        return {"cameras": [silences(source.sent_at, time.time_ns()) for source in self.sources]}

    def unplug(self, index: int) -> dict[str, Any]:
        """Have a camera send no more."""
        self.sources[index].connected = False
        return {}

    def watch(self, index: int, camera: int) -> dict[str, Any]:
        """Have a sink look for the first whole keyframe of a camera (its index in the process that sends it)."""
        self.sinks[index].watch(camera)
        return {}

    def close(self, index: int) -> dict[str, Any]:
        """Forget a sink: it never comes back, its index stays."""
        self.sinks[index].peer.sock.close()
        self.sinks[index] = Sink(self.host, 1, audio=False, controlling=True)
        return {}

    def _report(self, sent: list[int], delays: bool) -> dict[str, Any]:
        return {
            "sent": sum(sent),
            "sent_each": sent,
            "packets": [sink.packets for sink in self.sinks],
            "lost": [sink.lost for sink in self.sinks],
            "bytes": sum(sink.bytes for sink in self.sinks),
            "bursts": sum(sink.reads for sink in self.sinks),
            "cameras": [self._delays(index) for index in range(len(self.sources))] if delays else [],
        }

    def _delays(self, index: int) -> dict[str, list[float]]:
        """Return ms from the camera's socket to the sinks': of every picture's last packet, and of the last leg to get it."""
        source = self.sources[index]
        keys = {n for low, high in source.key_ranges for n in range(low, high)}
        delays: list[float] = []
        worst: dict[int, float] = {}
        for sink in self.sinks:
            for told, stamp in sink.delays:
                number = told & (1 << NUMBER_BITS) - 1
                if told >> NUMBER_BITS == index and number < len(source.sent_at) and stamp:
                    delay = (stamp - source.sent_at[number]) / 1e6
                    delays.append(delay)
                    worst[number] = max(worst.get(number, 0.0), delay)
        last = {key: [delay for number, delay in worst.items() if (number in keys) is key] for key in (False, True)}
        return {"delays": delays, "last": last[False], "last_key": last[True]}


def main() -> None:
    """Serve requests until standard input ends."""
    load = Load(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(load, request.pop("op"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
