"""Coverage-guided fuzzing of one target with atheris: `python -m tests.fuzz.soak TARGET SECONDS CORPUS`; crashes are kept.

Run through `scripts/soak/fuzz`, which runs every target in a process of its own.
"""

import logging
import sys
from pathlib import Path

import atheris

CRASHES = Path(__file__).parent / "crashes"


def main() -> None:
    """Fuzz until the time is over (exit code 0) or an input breaks the target (not 0; the input is in `crashes`)."""
    name, seconds, corpus = sys.argv[1:]
    logging.disable()
    with atheris.instrument_imports(include=["relay"]):
        from tests.fuzz.targets import SEEDS, TARGETS
    folder = Path(corpus) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={CRASHES / name}-", "-max_len=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], str(folder), *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
