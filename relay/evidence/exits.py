"""How a program that gives a verdict ends.

Owns: its exit codes, and which of them an accident gets.  Must never know: what was judged.

| code | meaning |
|---|---|
| 0 | no finding |
| 1 | at least one finding |
| 2 | unreadable: something that was given (recording, key, list) cannot be read |
| 3 | no verdict, for a reason of our own: wrong usage, memory, the interpreter, an output that takes nothing, a bug |
| 130 | stopped by Ctrl-C |

No code stands for another: 1 is also what Python and most programs end with after any accident, so every accident is caught.
"""

import os
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import TextIO


class Exit(IntEnum):
    """An exit code."""

    NO_FINDING = 0
    FINDING = 1
    UNREADABLE = 2
    OURS = 3
    STOPPED = 130


def exit_code_of(work: Callable[[], int]) -> int:
    """Run `work` and return its exit code, whatever happens; what was printed has left the process by then."""
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _silent(Exit.STOPPED)
    except SystemExit:
        raise
    except BaseException as error:
        _tell(error)
        return _silent(Exit.OURS)
    return code


def _tell(error: BaseException) -> None:
    """Say why there is no verdict, where anybody listens: a pipe that was closed needs no words."""
    if isinstance(error, BrokenPipeError):
        return
    try:
        if isinstance(error, MemoryError):
            sys.stderr.write("relay: not enough memory: no verdict / mémoire insuffisante : aucun verdict\n")
        elif isinstance(error, OSError) or sys.stdout is None:  # None: it was closed before the start
            sys.stderr.write(f"relay: the verdict cannot be written / le verdict ne peut être écrit : {error}\n")
        else:
            traceback.print_exception(error, limit=20)
            sys.stderr.write("relay: this is a bug: no verdict / ceci est une erreur du programme : aucun verdict\n")
    except (OSError, AttributeError, ValueError, MemoryError):
        return


def _silent(code: Exit) -> int:
    """Drop what the streams still hold: the interpreter would try again at its end, and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        _drop(stream)
    return code


def _drop(stream: TextIO | None) -> None:
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]
        except (OSError, ValueError):
            return
