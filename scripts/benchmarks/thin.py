"""The thinnest WebRTC ends that a server will talk to: a plain UDP socket each, no event loop, nothing decoded.

Owns: ICE checks towards an ICE-lite server, the DTLS client handshake, the SRTP keys.  Must never cost as much as what it
measures: after the handshake a sink reads whole segmented bursts (UDP_GRO) and only counts.
"""

import os
import re
import secrets
import socket
import time
from dataclasses import dataclass, field

import aioice.stun as stun
from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile
from OpenSSL import SSL
from pylibsrtp import Policy, Session

UDP_GRO = 104
GCM = b"SRTP_AEAD_AES_128_GCM"
CM = b"SRTP_AES128_CM_SHA1_80"
OPUS_PT, VIDEO_PT = 111, 96
EXTENSIONS = {
    1: "urn:ietf:params:rtp-hdrext:sdes:mid",
    2: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    3: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
}


@dataclass
class Media:
    """One m-line of a peer's offer: `direction` as the peer sees it."""

    kind: str
    direction: str
    ssrc: int | None = None


@dataclass
class Answer:
    """What a thin peer needs of the server's SDP."""

    host: str
    port: int
    ufrag: str
    pwd: str


def parse_answer(sdp: str) -> Answer:
    """Take credentials and the first host candidate."""
    candidate = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", sdp, re.I)
    ufrag, pwd = re.search(r"a=ice-ufrag:(\S+)", sdp), re.search(r"a=ice-pwd:(\S+)", sdp)
    if not (candidate and ufrag and pwd):
        raise ValueError("no candidate or credentials in the answer")
    return Answer(candidate[1], int(candidate[2]), ufrag[1], pwd[1])


def _media_lines(index: int, media: Media, port: int, host: str, own: str) -> list[str]:
    video = media.kind == "video"
    payload = VIDEO_PT if video else OPUS_PT
    lines = [f"m={media.kind} {port} UDP/TLS/RTP/SAVPF {payload}", f"c=IN IP4 {host}", f"a=mid:{index}", f"a={media.direction}"]
    lines += ["a=rtcp-mux", own]
    if index == 0:
        lines += [f"a=candidate:1 1 udp 2130706431 {host} {port} typ host", "a=end-of-candidates"]
    if video:
        lines += [f"a=rtpmap:{payload} H264/90000", f"a=rtcp-fb:{payload} nack", f"a=rtcp-fb:{payload} nack pli"]
        lines += [f"a=rtcp-fb:{payload} goog-remb"]
        lines += [f"a=fmtp:{payload} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"]
    else:
        lines += [f"a=rtpmap:{payload} opus/48000/2"]
    lines += [f"a=extmap:{number} {uri}" for number, uri in EXTENSIONS.items()]
    if media.ssrc is not None:
        lines += [f"a=msid:cam {media.kind}", f"a=ssrc:{media.ssrc} cname:thin"]
    return lines


@dataclass
class ThinPeer:
    """One peer: `offer()` or `answer()`, then `connect(answer)`; blocking, with a bound on time."""

    host: str
    media: list[Media]
    profile: bytes = GCM
    controlling: bool = True
    sock: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        self.sock.bind((self.host, 0))
        self.ufrag, self.pwd = secrets.token_hex(4), secrets.token_hex(12)
        self.tie_breaker = secrets.randbits(63)
        self.certificate = RTCCertificate.generateCertificate()

    def offer(self, setup: str = "actpass") -> str:
        """Return an SDP offer (or, with `setup="active"`, an answer to a server's offer with the same m-lines)."""
        fingerprint = next(f for f in self.certificate.getFingerprints() if f.algorithm == "sha-256").value
        own = f"a=ice-ufrag:{self.ufrag}\r\na=ice-pwd:{self.pwd}\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}"
        mids = " ".join(str(i) for i in range(len(self.media)))
        lines = ["v=0", f"o=- {secrets.randbits(40)} 2 IN IP4 {self.host}", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
        port = self.sock.getsockname()[1]
        for index, media in enumerate(self.media):
            lines += _media_lines(index, media, port, self.host, own)
        return "\r\n".join(lines) + "\r\n"

    def connect(self, answer: Answer, timeout: float = 10.0) -> None:
        """Check, nominate, shake hands, derive keys; raises TimeoutError."""
        self.remote = answer
        self.address = (answer.host, answer.port)
        self.sock.settimeout(0.2)
        deadline = time.monotonic() + timeout
        self._check(deadline)
        self._handshake(deadline)

    def check(self, nominate: bool = True) -> None:
        """Send one authenticated check with USE-CANDIDATE: also keeps consent alive (RFC 7675)."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote.ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1845501695
        request.attributes["ICE-CONTROLLING" if self.controlling else "ICE-CONTROLLED"] = self.tie_breaker
        if nominate and self.controlling:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self.remote.pwd.encode())
        self.sock.sendto(bytes(request), self.address)

    def answer_check(self, data: bytes) -> None:
        """Answer a full agent's own check (RFC 8445 §7.3)."""
        if len(data) < 20 or data[:2] != b"\0\1":
            return
        response = stun.Message(
            message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE, transaction_id=data[8:20]
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = self.address
        response.add_message_integrity(self.pwd.encode())
        self.sock.sendto(bytes(response), self.address)

    def _check(self, deadline: float) -> None:
        nominate = False
        while time.monotonic() < deadline:
            self.check(nominate)
            try:
                data = self.sock.recv(2048)
            except TimeoutError:
                continue
            if int.from_bytes(data[:2], "big") == 0x0101:
                if nominate and self.controlling:
                    return
                nominate = True
            elif data[0] < 2:
                self.answer_check(data)
                if nominate and not self.controlling:
                    return
        raise TimeoutError("no answer to ICE checks")

    def _handshake(self, deadline: float) -> None:
        profiles = [SRTPProtectionProfile(libsrtp_profile=0, openssl_profile=self.profile, key_length=16, salt_length=12)]
        tls = SSL.Connection(self.certificate._create_ssl_context(profiles))
        tls.set_connect_state()
        while time.monotonic() < deadline:
            try:
                tls.do_handshake()
                self._derive(tls)
                self._flush(tls)
                return
            except SSL.WantReadError:
                self._flush(tls)
            try:
                data = self.sock.recv(4096)
            except TimeoutError:
                self.check()
                tls.DTLSv1_handle_timeout()
                continue
            if 20 <= data[0] < 64:
                tls.bio_write(data)
            else:
                self.answer_check(data)
        raise TimeoutError("no DTLS handshake")

    def _flush(self, tls: SSL.Connection) -> None:
        while True:
            try:
                data = tls.bio_read(4096)
            except SSL.WantReadError:
                return
            while data:  # DTLS records may be packed together: send them one flight a datagram
                length = 13 + int.from_bytes(data[11:13], "big")
                self.sock.sendto(data[:length], self.address)
                data = data[length:]

    def _derive(self, tls: SSL.Connection) -> None:
        salt = 12 if self.profile == GCM else 14
        material = tls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (16 + salt))
        keys, salts = material[:32], material[32:]
        self.ours, self.theirs = keys[:16] + salts[:salt], keys[16:] + salts[salt:]

    def sealer(self) -> Session:
        """Return a libsrtp session that protects what this peer sends."""
        return Session(self._policy(self.ours, Policy.SSRC_ANY_OUTBOUND))

    def opener(self) -> Session:
        """Return a libsrtp session that opens what this peer receives."""
        return Session(self._policy(self.theirs, Policy.SSRC_ANY_INBOUND))

    def _policy(self, key: bytes, direction: int) -> Policy:
        profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM if self.profile == GCM else Policy.SRTP_PROFILE_AES128_CM_SHA1_80
        policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
        policy.window_size = 2048
        return policy

    def count_only(self) -> None:
        """From now on the socket is non-blocking and hands over whole bursts."""
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads, those that ended included; to the nanosecond (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    """Return the resident memory of a process, bytes."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
