"""Bytes as a program of steps, so that a fuzzer of single inputs can drive something that has a state.

Owns: how operands are read, and how seeds are written.  Must never know: what a step does.

Every byte string is a program: a step reads its operands as it needs them, and what is missing at the end counts as zero.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_STEPS = 200
"""Steps of one program: a longer one finds nothing that a shorter one does not."""


class Program:
    """Reads operands from an input; falsy once nothing is left or enough steps were taken."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._steps = 0

    def __bool__(self) -> bool:
        """Whether another step begins; counts it."""
        self._steps += 1
        return self._at < len(self._data) and self._steps <= MAX_STEPS

    def byte(self) -> int:
        """Return a number from 0 to 255."""
        return self.number(1)

    def number(self, size: int) -> int:
        """Return an unsigned number of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def pick(self, of: Sequence[T]) -> T:
        """Return one of some things."""
        return of[self.byte() % len(of)]

    def chunk(self) -> bytes:
        """Return bytes behind their length in one byte."""
        return self.take(self.byte())

    def take(self, size: int) -> bytes:
        """Return the next bytes, padded with zeroes at the end."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found.ljust(size, b"\0")


def steps(*each: Sequence[int] | bytes) -> bytes:
    """Write a seed: the operands of each step, in order."""
    return b"".join(bytes(step) for step in each)
