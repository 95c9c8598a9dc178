"""The sound of a simulated camera: the murmur of a street and, if asked for, the beep that goes with the flash.

Owns: samples as functions of (seed, time).  Must never know: encoders or networks.
"""

import numpy as np
import numpy.typing as npt

from sim_cameras.scene import FLASH_NS, flash_phase_ns

SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
_BEEP_HZ = 1000.0


class Sound:
    """Mono 16-bit sound in frames of 20 ms."""

    def __init__(self, seed: int, flash_every: float | None) -> None:
        random = np.random.default_rng(seed)
        self._noise = _murmur(random)
        self._hum = float(random.uniform(90, 160))
        self._flash_every = flash_every
        self._position = 0

    def frame(self, utc_ns: int) -> npt.NDArray[np.int16]:
        """Return the 960 samples captured from `utc_ns` on, shape (960,)."""
        at = self._position
        self._position += FRAME_SAMPLES
        times = np.arange(at, at + FRAME_SAMPLES) / SAMPLE_RATE
        samples = self._noise[at % len(self._noise) :][:FRAME_SAMPLES] + 500 * np.sin(2 * np.pi * self._hum * times)
        if self._flash_every is not None:
            samples = samples + self._beep(utc_ns, times)
        return np.asarray(samples, dtype=np.int16)

    def _beep(self, utc_ns: int, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the beep's samples within this frame, to the sample."""
        assert self._flash_every is not None
        phase = flash_phase_ns(utc_ns, self._flash_every) + np.arange(FRAME_SAMPLES) * 1_000_000_000 // SAMPLE_RATE
        phase %= round(self._flash_every * 1e9)
        return np.where(phase < FLASH_NS, 12_000 * np.sin(2 * np.pi * _BEEP_HZ * times), 0.0)


def _murmur(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return two seconds of low-passed noise, a whole number of frames long."""
    white = random.normal(0, 1, SAMPLE_RATE * 2)
    smooth = np.convolve(white, np.ones(24) / 24, mode="same")
    return np.asarray(smooth * 1500, dtype=np.float64)
