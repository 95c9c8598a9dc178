"""The verifier in one file, for a court's expert: needs Python 3.11 or later and the package `cryptography`, nothing else.

Owns: the list of modules, how they are put together, and the small command line.
Must never know: settings, colours, the vault's keys.  The single file holds the source of the relay's own modules,
unchanged, so that it gives the same verdict.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.evidence.keys import key_from, public_key_from
from relay.evidence.media import Reader
from relay.evidence.statement import successions_in
from relay.evidence.verdict import Language, report
from relay.evidence.verify import verify

MODULES = (
    "relay.base.codes",
    "relay.base.errors",
    "relay.evidence.wire",
    "relay.evidence.seal",
    "relay.evidence.keys",
    "relay.evidence.records",
    "relay.evidence.chain",
    "relay.evidence.statement",
    "relay.evidence.boxes",
    "relay.evidence.codes",
    "relay.evidence.verdict",
    "relay.evidence.findings",
    "relay.evidence.media",
    "relay.evidence.order",
    "relay.evidence.trust",
    "relay.evidence.extraction",
    "relay.evidence.continuity",
    "relay.evidence.lipsync",
    "relay.evidence.derived",
    "relay.evidence.verify",
    "relay.evidence.standalone",
    "relay.store.readers",
)

_HEAD = '''#!/usr/bin/env python3
"""Vérificateur autonome des enregistrements scellés / standalone verifier of sealed recordings.

    python3 verify.py DOSSIER_OU_ZIP --key CLÉ_PUBLIQUE [--recording-key CLÉ] [--successions FICHIER]
            [--revocations FICHIER] [--json] [--lang fr|en]

Needs Python 3.11 or later and the package `cryptography`.  Exit code 0: nothing speaks against the recording; 1: something
does; 2: it cannot be read.  The public key must come from the service that recorded, not from the recording itself.
Below stand the modules of the relay's own verifier, unchanged, then the few lines that load them.
"""

import importlib.abc
import importlib.util
import sys

SOURCES: dict[str, str] = {}
'''

_TAIL = """

class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        package = any(module.startswith(name + ".") for module in SOURCES)
        if name in SOURCES or package:
            return importlib.util.spec_from_loader(name, self, is_package=package)
        return None

    def exec_module(self, module):
        source = SOURCES.get(module.__name__, "")
        exec(compile(source, f"<{module.__name__}>", "exec"), module.__dict__)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Loader())
    from relay.evidence.standalone import main
    from relay.store.readers import open_reader

    sys.exit(main(sys.argv[1:], open_reader))
"""


def single_file() -> str:
    """Return the source of the single-file verifier; raises OurError where a module's source is not installed."""
    return _HEAD + "".join(f"SOURCES[{name!r}] = {_source(name)!r}\n" for name in MODULES) + _TAIL


def _source(name: str) -> str:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise OurError(f"the source of {name} is not installed")
    return Path(spec.origin).read_text(encoding="utf-8")


def key_argument(text: str, read: Callable[[bytes], bytes]) -> bytes:
    """Return a key given as 64 hex digits or as the name of a file; raises TheirError or OSError."""
    if len(text) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in text):
        return bytes.fromhex(text)
    return read(Path(text).read_bytes())


def recording_key_argument(text: str) -> bytes:
    """Return a decryption key from a file, or from standard input for `-`; raises TheirError or OSError.

    Never from the argument itself: every process of the machine can read the arguments of every other one.
    """
    if len(text) == 64 and not Path(text).exists():
        raise TheirError(
            Kind.INVALID, "a decryption key does not belong on a command line: name a file, or - and give it on standard input"
        )
    return key_from(sys.stdin.buffer.read() if text == "-" else Path(text).read_bytes(), "recording key")


def main(arguments: list[str], open_reader: Callable[[Path], AbstractContextManager[Reader]]) -> int:
    """Verify from a command line and return the exit code."""
    options = _options().parse_args(arguments)
    language: Language = "en" if options.lang == "en" else "fr"
    try:
        public_key = None if options.key is None else key_argument(options.key, public_key_from)
        recording_key = None if options.recording_key is None else recording_key_argument(options.recording_key)
        successions = [] if options.successions is None else successions_in(Path(options.successions).read_bytes())
        lists = [] if options.revocations is None else [Path(options.revocations).read_bytes()]
        with open_reader(Path(options.path)) as reader:
            verdict = verify(reader, public_key, recording_key, successions=successions, revocations=lists)
    except (RelayError, OSError) as error:
        sys.stderr.write(f"{'illisible' if language == 'fr' else 'unreadable'}: {error}\n")
        return 2
    lines = [json.dumps(verdict.as_json(), indent=1)] if options.json else report(verdict, language)
    sys.stdout.write("\n".join(lines) + "\n")
    return verdict.exit_code


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Vérifie un enregistrement scellé / verifies a sealed recording")
    parser.add_argument("path", help="dossier ou zip / folder or zip")
    parser.add_argument("--key", help="clé publique du relais : fichier ou 64 chiffres hexadécimaux / the relay's public key")
    parser.add_argument(
        "--recording-key", help="clé de déchiffrement (facultative) : fichier ou - / decryption key (optional): file or -"
    )
    parser.add_argument("--successions", help="successions de clés du relais : fichier / the relay's key successions: file")
    parser.add_argument("--revocations", help="liste de clés révoquées, signée / signed list of revoked keys: file")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lang", choices=("fr", "en"), default="fr" if os.environ.get("LANG", "fr").startswith("fr") else "en")
    return parser
