"""FFmpeg's WHIP muxer as a camera: publishes a film without encoding it, in a process of its own (its header write blocks).

`python -m tests.clients.ffmpeg_camera URL FILM CERTIFICATE KEY`, with the token on standard input; it ends with that.
"""

import json
import sys
import threading
import time

import av


def publish(url: str, film: str, certificate: str, key: str) -> None:
    """Publish until the film or the standard input ends."""
    token, ended = sys.stdin.readline().strip(), threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    options = {"authorization": token, "cert_file": certificate, "key_file": key}
    with av.open(film) as source, av.open(url, "w", format="whip", options=options) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        start = time.monotonic()
        for packet in source.demux():
            if ended.is_set() or packet.dts is None or packet.time_base is None:
                break
            time.sleep(max(0.0, start + float(packet.dts * packet.time_base) - time.monotonic()))
            packet.stream = streams[packet.stream.index]
            out.mux(packet)


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"version": f"FFmpeg {av.ffmpeg_version_info}"}) + "\n")
    sys.stdout.flush()
    publish(*sys.argv[1:])
