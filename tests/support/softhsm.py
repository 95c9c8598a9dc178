"""A token of its own in software: SoftHSM2, the PKCS#11 module of the tests."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")
PIN = "86420975"


def module() -> Path:
    """Return SoftHSM2's library; raises AssertionError where it is not installed."""
    found = [Path(name) for name in MODULES if Path(name).exists()]
    assert found, "SoftHSM2 is missing (Debian: apt-get install softhsm2)"
    return found[0]


@dataclass(frozen=True)
class SoftHsm:
    """A folder of tokens."""

    root: Path

    def prepare(self) -> None:
        """Make the folder and its configuration."""
        (self.root / "tokens").mkdir(parents=True)
        self.conf.write_text(f"directories.tokendir = {self.root / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")

    @property
    def conf(self) -> Path:
        """Configuration file, which SOFTHSM2_CONF has to name."""
        return self.root / "softhsm2.conf"

    def add(self, label: str) -> None:
        """Initialise a token."""
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "11223344", "--pin", PIN]
        subprocess.run(command, env=os.environ | {"SOFTHSM2_CONF": str(self.conf)}, check=True, capture_output=True)

    def settings(self, label: str) -> dict[str, str]:
        """Return the environment of a relay whose two long-term keys are in a token; the PIN in a variable."""
        return {
            "SOFTHSM2_CONF": str(self.conf),
            "TOKEN_PIN": PIN,
            "RELAY_KEYS__KEK": "pkcs11",
            "RELAY_KEYS__SIGNING": "pkcs11",
            "RELAY_KEYS__PKCS11_MODULE": str(module()),
            "RELAY_KEYS__PKCS11_TOKEN": label,
            "RELAY_KEYS__PKCS11_PIN_VARIABLE": "TOKEN_PIN",
        }
