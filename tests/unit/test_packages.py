"""A server installs what it runs and nothing else: each package's imports are held against pyproject.toml and the locks."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sim_cameras.__main__ import EXTRA

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {
    "argon2-cffi": "argon2",
    "prometheus-client": "prometheus_client",
    "pydantic-settings": "pydantic_settings",
    "pyopenssl": "OpenSSL",
    "python-pkcs11": "pkcs11",
    "shamir-mnemonic": "shamir_mnemonic",
}
"""What a package is imported as, where that is another name."""
PART_OF = {"pydantic_core": "pydantic"}
"""Modules that come with another package, at the version that it names."""
DATA = {"tzdata"}
"""Packages that the standard library reads."""


def declared(requirements: list[str]) -> set[str]:
    """Return the modules of these requirements."""
    names = [re.split(r"[\[<>=~! ]", each, maxsplit=1)[0] for each in requirements]
    return {MODULES.get(name, name) for name in names}


def imported(folder: str) -> set[str]:
    """Return the top-level modules that a folder's sources import, without the standard library and our own."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    found = {PART_OF.get(name, name) for name in found}
    return found - set(sys.stdlib_module_names) - {"relay", "sim_cameras"}


def locked(name: str) -> dict[str, str]:
    """Return the version of each package in a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "locks" / name).read_text(), re.MULTILINE))


SERVER = declared(PROJECT["dependencies"])
SIMULATOR = declared(PROJECT["optional-dependencies"]["simulator"])


def test_a_server_depends_on_what_the_relay_imports_and_on_nothing_else() -> None:
    assert imported("relay") == SERVER - DATA


def test_the_extra_holds_what_only_the_simulator_imports() -> None:
    assert imported("sim_cameras") - SERVER == SIMULATOR == set(EXTRA)


def test_the_locks_of_server_demo_and_tests_agree_and_grow() -> None:
    server, demo, tests = locked("runtime.lock"), locked("demo.lock"), locked("test.lock")
    assert server.items() < demo.items() < tests.items()
    assert SIMULATOR & server.keys() == set()
    assert demo.keys() >= SIMULATOR


@pytest.mark.parametrize("missing", EXTRA)
def test_without_the_extra_the_simulator_ends_in_a_sentence_that_names_it(missing: str) -> None:
    hidden = f"import sys; sys.modules['{missing}'] = None; from sim_cameras.__main__ import main; main()"
    ran = subprocess.run([sys.executable, "-c", hidden], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 69
    assert len(ran.stderr.splitlines()) == 1
    assert "Install the extra `simulator`" in ran.stderr
