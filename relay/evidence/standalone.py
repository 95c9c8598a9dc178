"""The verifier in one file, for a court's expert: needs Python 3.11 or later and the package `cryptography`, nothing else.

Owns: the list of modules, how they are put together, and the small command line.
Must never know: settings, colours, the vault's keys.  The single file holds the source of the relay's own modules,
unchanged, so that it gives the same verdict.  They are text in it: its own few lines are all that an older Python must be
able to read in order to say which one it needs.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from relay.base.encodable import encodable, let_every_text_pass
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.exits import Exit, exit_code_of
from relay.evidence.keys import key_from, public_key_from
from relay.evidence.log_proof import MAX_FILE, is_proof
from relay.evidence.media import Reader
from relay.evidence.proof_report import judge_proofs
from relay.evidence.readings import HashingReader
from relay.evidence.report import report
from relay.evidence.statement import successions_in
from relay.evidence.verdict import Language, Verdict, printable
from relay.evidence.verify import verify

MODULES = (
    "relay.base.codes",
    "relay.base.errors",
    "relay.base.encodable",
    "relay.evidence.wire",
    "relay.evidence.seal",
    "relay.evidence.keys",
    "relay.evidence.records",
    "relay.evidence.chain",
    "relay.evidence.statement",
    "relay.evidence.boxes",
    "relay.evidence.axis",
    "relay.evidence.codes_of_keys",
    "relay.evidence.codes",
    "relay.evidence.verdict",
    "relay.evidence.office",
    "relay.evidence.findings",
    "relay.evidence.container",
    "relay.evidence.search",
    "relay.evidence.media",
    "relay.evidence.chain_file",
    "relay.evidence.contents",
    "relay.evidence.order",
    "relay.evidence.trust",
    "relay.evidence.extraction",
    "relay.evidence.log",
    "relay.evidence.log_proof",
    "relay.evidence.journal_proofs",
    "relay.evidence.continuity",
    "relay.evidence.lipsync",
    "relay.evidence.samples",
    "relay.evidence.layout",
    "relay.evidence.parameters",
    "relay.evidence.movie",
    "relay.evidence.playable",
    "relay.evidence.derived",
    "relay.evidence.readings",
    "relay.evidence.report",
    "relay.evidence.answers",
    "relay.evidence.verify",
    "relay.evidence.exits",
    "relay.evidence.proof_report",
    "relay.evidence.standalone",
    "relay.store.inflate",
    "relay.store.zip_layout",
    "relay.store.readers",
)

_HEAD = '''#!/usr/bin/env python3
# -*- coding: utf-8 -*-
"""Vérificateur autonome des enregistrements scellés / standalone verifier of sealed recordings.

    python3 verify.py DOSSIER_OU_ZIP --key CLÉ_PUBLIQUE [--recording-key CLÉ] [--successions FICHIER]
            [--revocations FICHIER] [--expect ENREGISTREMENT] [--json] [--lang fr|en]
    python3 verify.py PREUVE_DU_JOURNAL --key CLÉ_PUBLIQUE [--successions FICHIER] [--json] [--lang fr|en]

Needs Python 3.11 or later and the package `cryptography`.  The public key must come from the service that recorded, not
from the recording itself.

Exit code / code de sortie :
    0    no finding                                       aucune constatation
    1    at least one finding                             au moins une constatation
    2    something given cannot be read                   ce qui est donné ne peut être lu
    3    no verdict for another reason (wrong usage,      pas de verdict pour une autre raison (usage, version de
         Python, memory, output, an error of ours)        Python, mémoire, sortie, erreur du programme)
    130  stopped by Ctrl-C                                arrêté par Ctrl-C

Below stand the modules of the relay's own verifier, unchanged, then the few lines that load them.
"""

import sys

NEEDS_PYTHON = (3, 11)
SOURCES = {}
'''

_TAIL = """

def refuse(english, french):
    sys.stderr.write("verify.py: %s\\n" % english)
    try:
        sys.stderr.write("verify.py: %s\\n" % french)
    except UnicodeError:
        pass
    sys.exit(3)


class Loader(object):
    def find_spec(self, name, path=None, target=None):
        import importlib.util
        package = any(module.startswith(name + ".") for module in SOURCES)
        if name in SOURCES or package:
            return importlib.util.spec_from_loader(name, self, is_package=package)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        source = SOURCES.get(module.__name__, "")
        exec(compile(source, "<%s>" % module.__name__, "exec"), module.__dict__)


def run():
    if sys.version_info < NEEDS_PYTHON:
        found = "%d.%d" % sys.version_info[:2]
        refuse("this is Python %s, and Python 3.11 or later is needed: no verdict" % found,
               "ceci est Python %s, il faut Python 3.11 ou plus recent : aucun verdict" % found)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        Ed25519PublicKey.public_bytes_raw
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except KeyboardInterrupt:
        raise
    except BaseException:
        refuse("the package `cryptography` (40 or later) is missing or broken: python3 -m pip install cryptography",
               "le paquet `cryptography` (40 ou plus) manque ou ne marche pas : python3 -m pip install cryptography")
    sys.meta_path.insert(0, Loader())
    from relay.evidence.standalone import main
    from relay.store.readers import open_reader
    return main(sys.argv[1:], open_reader)


if __name__ == "__main__":
    try:
        code = run()
    except SystemExit:
        raise
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 3
    sys.exit(code)
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
    """Return a key given as the name of a file, or itself in hex digits or base64; raises TheirError or OSError."""
    if _is_there(Path(text)):
        return read(Path(text).read_bytes())
    if not text.strip():
        raise TheirError(Kind.INVALID, "--key: it is empty")
    try:
        return read(text.encode())
    except TheirError as error:
        raise TheirError(error.kind, f"--key: there is no such file, and as a key it is refused: {error.detail}") from None


def lies_within(key: str | Path, path: Path) -> bool:
    """Return whether a key is a file within the folder that is to be judged: then it came with the recording."""
    file = Path(key)
    return _is_there(file) and any(each.is_relative_to(path.resolve()) for each in (file.absolute(), file.resolve()))


def _is_there(path: Path) -> bool:
    """Return whether something has this name; False for a text that can be no name."""
    try:
        return path.exists() and str(path) != "."
    except (OSError, ValueError):
        return False


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
    """Verify from a command line and return the exit code (`exits`)."""
    let_every_text_pass(sys.stdout, sys.stderr)
    return exit_code_of(lambda: _main(arguments, open_reader))


def _main(arguments: list[str], open_reader: Callable[[Path], AbstractContextManager[Reader]]) -> int:
    try:
        options = _options().parse_args(arguments)
    except SystemExit as ended:  # of `--help`, or of a wrong usage, which argparse has explained
        return Exit.OURS if ended.code else Exit.NO_FINDING
    language: Language = "en" if options.lang == "en" else "fr"
    try:
        if _holds_proofs(Path(options.path)):
            return _proofs(options, language)
        verdict = _judge(options, open_reader)
    except (TheirError, OSError) as error:
        sys.stderr.write(f"{'illisible' if language == 'fr' else 'unreadable'}: {printable(str(error))}\n")
        return Exit.UNREADABLE
    lines = (
        [json.dumps(verdict.as_json(), indent=1)] if options.json else report(verdict, language, width=_width(), encode=_encode)
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return verdict.exit_code


def _holds_proofs(path: Path) -> bool:
    """Return whether a path is a file of journal proofs (FORMAT.md §8.2)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return is_proof(file.read(100))


def _proofs(options: argparse.Namespace, language: Language) -> int:
    """Judge a file of journal proofs, print the verdict and return the exit code; raises TheirError or OSError."""
    public_key = None if options.key is None else key_argument(options.key, public_key_from)
    successions = [] if options.successions is None else successions_in(Path(options.successions).read_bytes())
    with Path(options.path).open("rb") as file:
        verdict = judge_proofs(file.read(MAX_FILE + 1), public_key, successions)
    lines = [json.dumps(verdict.as_json(), indent=1)] if options.json else verdict.lines(language)
    sys.stdout.write("\n".join(lines) + "\n")
    return verdict.exit_code


def _judge(options: argparse.Namespace, open_reader: Callable[[Path], AbstractContextManager[Reader]]) -> Verdict:
    """Read what the command line names and return the verdict; raises TheirError or OSError where that cannot be read."""
    public_key = None if options.key is None else key_argument(options.key, public_key_from)
    recording_key = None if options.recording_key is None else recording_key_argument(options.recording_key)
    successions = [] if options.successions is None else successions_in(Path(options.successions).read_bytes())
    lists = [] if options.revocations is None else [Path(options.revocations).read_bytes()]
    within = options.key is not None and lies_within(options.key, Path(options.path))
    with open_reader(Path(options.path)) as reader, closing(HashingReader(reader)) as hashing:
        verdict = verify(
            hashing,
            public_key,
            recording_key,
            successions=successions,
            revocations=lists,
            key_within=within,
            expected=options.expect,
        )
        return replace(verdict, read=hashing.finish())


def _encode(text: str) -> str:
    """Replace what the output cannot hold."""
    return encodable(text, sys.stdout.encoding or "utf-8")


def _width() -> int:
    """Return the columns to write in: those of the terminal, at most 100."""
    return min(shutil.get_terminal_size((100, 24)).columns, 100)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Vérifie un enregistrement scellé / verifies a sealed recording")
    parser.add_argument("path", help="dossier, zip ou preuve du journal / folder, zip or journal proof")
    parser.add_argument("--key", help="clé publique du relais : fichier ou 64 chiffres hexadécimaux / the relay's public key")
    parser.add_argument(
        "--recording-key", help="clé de déchiffrement (facultative) : fichier ou - / decryption key (optional): file or -"
    )
    parser.add_argument("--successions", help="successions de clés du relais : fichier / the relay's key successions: file")
    parser.add_argument("--revocations", help="liste de clés révoquées, signée / signed list of revoked keys: file")
    parser.add_argument("--expect", help="enregistrement attendu : 32 chiffres / the recording that this should be: its id")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lang", choices=("fr", "en"), default="fr" if os.environ.get("LANG", "fr").startswith("fr") else "en")
    return parser
