"""The load: cameras that send and sinks that count, in one process (and network namespace) of its own.

Speaks JSON lines on standard input and output with `scripts.benchmarks.rig`.  Times are CLOCK_REALTIME nanoseconds: the
kernel stamps each arrival (SO_TIMESTAMPNS), so that this process being late does not count against the server.
"""

import json
import random
import select
import socket
import struct
import sys
import time
from typing import Any

from scripts.benchmarks.thin import UDP_GRO, VIDEO_PT, Answer, Media, ThinPeer
from scripts.benchmarks.video import MARK, frames

SO_TIMESTAMPNS = 35
SWEEP = 0.005
"""Seconds between two looks at the sinks.  They wake by their own clock: a receiver that sleeps on its socket is woken by the
server's own system call, which on a virtual machine costs the server 50 to 100 µs that no real network would ask of it."""
HEADER = struct.Struct("!BBHII")


class Source:
    """One camera: paced frames, each as one burst (as browsers do) or spread over the frame time (as radios do)."""

    def __init__(self, host: str, kbps: int, fps: int, spread: bool) -> None:
        self.ssrc = random.getrandbits(31)
        self.peer = ThinPeer(host, [Media("video", "sendonly", self.ssrc), Media("audio", "sendonly", self.ssrc + 1)])
        self.units = frames(kbps, fps, width=1280 if kbps > 800 else 640, height=720 if kbps > 800 else 360)
        self.interval, self.spread = 1 / fps, spread
        self.sequence = self.frame = self.number = self.sound = 0
        self.sent_at: list[int] = []
        self.key_ranges: list[tuple[int, int]] = []
        self.queue: list[tuple[float, bytes, bool]] = []

    def start(self, now: float) -> None:
        """Begin to send."""
        self.seal = self.peer.sealer().protect
        self.peer.sock.setblocking(False)
        self.next_frame, self.next_sound, self.next_check = now, now, now + 1

    def tick(self, now: float) -> float:
        """Send what is due; return when to be called again."""
        while now >= self.next_frame:
            self._make_frame(self.next_frame)
            self.next_frame += self.interval
        while self.queue and now >= self.queue[0][0]:
            _, packet, numbered = self.queue.pop(0)
            if numbered:
                self.sent_at.append(time.time_ns())
            self.peer.sock.sendto(packet, self.peer.address)
        if now >= self.next_check:
            self.peer.check()
            self.next_check = now + 2
        self._read()
        return min([self.next_frame, *(at for at, _, _ in self.queue[:1])])

    def _make_frame(self, due: float) -> None:
        unit = self.units[self.frame % len(self.units)]
        stamp = self.frame * 3000 & 0xFFFFFFFF
        if len(unit) > 20:
            self.key_ranges.append((self.number, self.number + len(unit)))
        step = self.interval / len(unit) if self.spread else 0.0
        for position, payload in enumerate(unit):
            marker = 0x80 if position == len(unit) - 1 else 0
            header = HEADER.pack(0x80, VIDEO_PT | marker, self.sequence & 0xFFFF, stamp, self.ssrc)
            body = payload[: -MARK.size] + MARK.pack(self.number) if len(payload) > 100 else payload
            self.queue.append((due + step * position, self.seal(header + body), True))
            self.sequence, self.number = self.sequence + 1, self.number + 1
        self.frame += 1

    def _read(self) -> None:
        try:
            while True:
                self.peer.sock.recv(2048)
        except BlockingIOError:
            pass


class Sink:
    """One viewer: counts, follows sequence numbers, opens the last packet of each frame to know how long it took."""

    def __init__(self, host: str, videos: int, audio: bool, controlling: bool) -> None:
        media = [Media("video", "recvonly") for _ in range(videos)] + [Media("audio", "recvonly")] * audio
        self.peer = ThinPeer(host, media, controlling=controlling)
        self.buffer = bytearray(1 << 17)
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self.packets = self.bytes = self.lost = self.reads = 0
        self.delays: list[tuple[int, int]] = []
        self.expected: dict[int, int] = {}
        self.first_ns = 0

    def start(self) -> None:
        """Count only from now on."""
        self.peer.count_only()
        self.peer.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.open = self.peer.opener().unprotect

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
        self.first_ns = self.first_ns or stamp
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
        if buffer[last + 1] & 0x80 and size - last > 120:
            self._measure(bytes(buffer[last:size]), stamp)

    def _measure(self, packet: bytes, stamp: int) -> None:
        try:
            plain = self.open(packet)
        except Exception:
            return
        end = len(plain) - (plain[-1] if plain[0] & 0x20 else 0)
        self.delays.append((MARK.unpack(plain[end - MARK.size : end])[0], stamp))


class Load:
    """All sources and sinks of a run."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.sources: list[Source] = []
        self.sinks: list[Sink] = []

    def add_source(self, kbps: int = 2000, fps: int = 30, spread: bool = False) -> dict[str, Any]:
        """Make a camera; answers with its offer."""
        source = Source(self.host, kbps, fps, spread)
        self.sources.append(source)
        return {"index": len(self.sources) - 1, "offer": source.peer.offer("active")}

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

    def run(self, seconds: float, reset: bool = True) -> dict[str, Any]:
        """Send and count for `seconds`; answers with what each sink saw."""
        if reset:
            for sink in self.sinks:
                sink.reset()
        sent = sum(source.number for source in self.sources)
        busy = time.process_time()
        poll = select.epoll()
        by_fd = {sink.peer.sock.fileno(): sink for sink in self.sinks}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        self._loop(seconds, poll, by_fd)
        poll.close()
        report = self._report(sum(source.number for source in self.sources) - sent)
        return {**report, "busy": (time.process_time() - busy) / seconds}

    def _loop(self, seconds: float, poll: select.epoll, by_fd: dict[int, Sink]) -> None:
        now = time.monotonic()
        end, keep = now + seconds, now + 1
        while now < end:
            due = min([end, *(source.tick(now) for source in self.sources)])
            if now >= keep:
                keep = now + 2.5
                for sink in self.sinks:
                    sink.peer.check()
            time.sleep(max(0.0, min(due - time.monotonic(), SWEEP)))
            for fd, _ in poll.poll(0):
                by_fd[fd].read()
            now = time.monotonic()

    def _report(self, sent: int) -> dict[str, Any]:
        delays, last = self._delays()
        return {
            "sent": sent,
            "packets": [sink.packets for sink in self.sinks],
            "lost": [sink.lost for sink in self.sinks],
            "bytes": sum(sink.bytes for sink in self.sinks),
            "bursts": sum(sink.reads for sink in self.sinks),
            "delays_us": delays,
            "last_leg_us": last["all"],
            "last_leg_key_us": last["key"],
            "first_ns": [sink.first_ns for sink in self.sinks],
        }

    def _delays(self) -> tuple[list[float], dict[str, list[float]]]:
        sent_at = self.sources[0].sent_at if self.sources else []
        keys = {n for low, high in self.sources[0].key_ranges for n in range(low, high)} if self.sources else set()
        delays: list[float] = []
        worst: dict[int, float] = {}
        for sink in self.sinks:
            for number, stamp in sink.delays:
                if number < len(sent_at) and stamp:
                    delay = (stamp - sent_at[number]) / 1000
                    delays.append(delay)
                    worst[number] = max(worst.get(number, 0.0), delay)
        last = {"all": [worst[n] for n in worst if n not in keys], "key": [worst[n] for n in worst if n in keys]}
        return delays, last


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
