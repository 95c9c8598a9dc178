"""`sim-cameras`: the entry point.

Owns: what is said where the simulator's packages are not installed.  Must never know: the options.
"""

import sys

EXTRA = ("aioice", "aiortc", "numpy")
"""Packages of the extra `simulator`: a server installs none of them."""


def main() -> None:
    """Run the command line; exit code 69 and a sentence that names the extra where its packages are missing."""
    try:
        # Only here: a package that is missing must end in a sentence.
        from sim_cameras.cli import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA:
            raise
        sys.stderr.write(
            f"sim-cameras: the package {error.name} is not installed. Install the extra `simulator`"
            " (pip install --require-hashes -r locks/demo.lock, or pip install 'bodycam-relay[simulator]').\n"
        )
        raise SystemExit(69) from None
    app()


if __name__ == "__main__":
    main()
