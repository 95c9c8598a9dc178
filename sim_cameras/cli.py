"""`sim-cameras`: simulated body cameras on the command line.

Owns: the options and what is wrong with them.  Must never know: how cameras work.
"""

import asyncio
import dataclasses
import enum
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from sim_cameras import fleet, scenario
from sim_cameras.clip import film_video, record_audio
from sim_cameras.device import Habits
from sim_cameras.footage import Footage
from sim_cameras.impair import Network
from sim_cameras.replay import Reel
from sim_cameras.source import Film

_REELS = 4
_REEL_SECONDS = 4.0


class Mode(enum.Enum):
    """What a camera sends."""

    film = "film"
    replay = "replay"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def cameras(
    mode: Annotated[
        Mode, typer.Argument(help="`film` encodes live; `replay` sends clips encoded at the start: for fleets.")
    ] = Mode.film,
    *,
    tokens: Annotated[Path, typer.Option(help="File of lines `camera token`, as `relay camera enrol` shows them.")],
    url: Annotated[str, typer.Option(help="Base URL of the relay.")] = "http://127.0.0.1:8080",
    count: Annotated[int, typer.Option("--cameras", help="How many cameras of the file (0: all).")] = 0,
    scene: Annotated[str, typer.Option(help="`patrol`, or a film file for every camera.")] = "patrol",
    footage: Annotated[list[str] | None, typer.Option(help="CAMERA=FILE: a film for one camera; may be repeated.")] = None,
    size: Annotated[str, typer.Option(help="Picture size.")] = "640x360",
    fps: Annotated[int, typer.Option(min=1, max=60)] = 20,
    bitrate: Annotated[int, typer.Option(min=50_000, help="Bits per second.")] = 500_000,
    script: Annotated[Path | None, typer.Option(help="Scenario in TOML.")] = None,
    idle: Annotated[bool, typer.Option(help="Wait for a request or the script; do not press at start.")] = False,
    decline: Annotated[bool, typer.Option(help="Decline requests to stream.")] = False,
    live: Annotated[bool, typer.Option(help="Hold the live socket (--no-live: publish only).")] = True,
    audio: Annotated[bool, typer.Option(help="Send sound.")] = True,
    flash: Annotated[float | None, typer.Option(help="Flash and beep every so many seconds.")] = None,
    loss: Annotated[float, typer.Option(help="Share of datagrams lost each way, 0 to 1.")] = 0.0,
    delay: Annotated[float, typer.Option(help="Seconds of delay each way.")] = 0.0,
    jitter: Annotated[float, typer.Option(help="Seconds of jitter each way.")] = 0.0,
    ca: Annotated[Path | None, typer.Option(help="Certificate that signs the relay's.")] = None,
    layers: Annotated[int, typer.Option(min=1, max=3, help="Simulcast layers (replay only).")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same streets, same losses.")] = 1,
) -> None:
    """Run simulated body cameras against a relay until Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("aioice").setLevel(logging.WARNING)
    try:
        known = fleet.read_tokens(tokens)
        steps = scenario.load(script) if script is not None else ()
        films = _films(footage or [])
        everyone = None if scene == "patrol" else _readable(Path(scene))
        width, height = _size(size)
        network = Network(loss=loss, delay=delay, jitter=jitter)
    except (fleet.TokensError, scenario.ScenarioError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if not known or count > len(known):
        raise typer.BadParameter(f"{tokens} holds {len(known)} cameras, {count or 'at least one'} wanted")
    names = list(known)[: count or None]
    shots = [
        Film(name, width, height, fps, bitrate, seed + index, films.get(name, everyone), flash, audio)
        for index, name in enumerate(names)
    ]
    habits = [
        Habits(name, known[name], url, network, seed + index, live, not decline, 96.0 - 7 * index % 50)
        for index, name in enumerate(names)
    ]
    uvloop.run(_run(mode, fleet.Fleet(habits, steps, idle, ca), shots, layers))


async def _run(mode: Mode, crew: fleet.Fleet, films: list[Film], layers: int) -> None:
    until = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    if mode is Mode.film:
        await fleet.film(crew, films, until)
    else:
        reels = [await asyncio.to_thread(_reel, film, layers) for film in films[:_REELS]]
        await fleet.replay(crew, reels, until)


def _reel(film: Film, layers: int) -> Reel:
    """Encode the clips of a reel, each layer half as wide and high as the one before and a quarter of its bitrate."""
    sizes = [(film.width >> layer & ~1, film.height >> layer & ~1, film.bitrate >> 2 * layer) for layer in range(layers)]
    shots = [dataclasses.replace(film, width=width, height=height, bitrate=rate) for width, height, rate in sizes]
    sound = record_audio(film.seed, _REEL_SECONDS) if film.audio else None
    return Reel(tuple(film_video(shot, _REEL_SECONDS) for shot in shots), sound)


def _films(options: list[str]) -> dict[str, Path]:
    """Return film by camera from CAMERA=FILE options; raises ValueError."""
    films = {}
    for option in options:
        camera, separator, path = option.partition("=")
        if not separator:
            raise ValueError(f"--footage wants CAMERA=FILE, not {option}")
        films[camera] = _readable(Path(path))
    return films


def _readable(path: Path) -> Path:
    """Return `path` if it holds a picture; raises OSError or ValueError now rather than when the button is pressed."""
    Footage(path, 64, 64)
    return path


def _size(text: str) -> tuple[int, int]:
    """Return width and height; raises ValueError."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()) or int(width) % 2 or int(height) % 2 or int(width) < 64:
        raise ValueError(f"--size wants even WIDTHxHEIGHT of at least 64, not {text}")
    return int(width), int(height)
