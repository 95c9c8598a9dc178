"""The verdict of a verification: four answers, one mark per fragment, findings and notes in words, and an exit code.

Owns: a verdict, the texts of its answers and findings in French and English, and how texts of strangers are shown.
Must never know: how a finding was made.

A *finding* speaks against the recording and makes the exit code 1.  A *note* does not (an explained gap, for example).
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from relay.evidence.codes import Axis, Code
from relay.evidence.records import End, Recovery, Start

__all__ = ["ANSWERS", "Axis", "Code", "Finding", "Form", "Language", "Mark", "Verdict", "printable", "utc_text"]

Language: TypeAlias = Literal["fr", "en"]


class Form(StrEnum):
    """What the verifier was given."""

    STORED = "stored"
    OPENED = "opened"
    EXPORT = "export"
    CHAIN_ONLY = "chain_only"
    DERIVED = "derived"
    UNSIGNED = "unsigned"


class Mark(StrEnum):
    """One letter per fragment, as in `....XM..--`."""

    INTACT = "."
    ALTERED = "X"
    MISSING = "M"
    MISPLACED = "D"
    UNKNOWN = "?"
    NOT_EXPORTED = "-"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding or note, with its fragment where it has one."""

    code: Code
    fragment: int | None = None
    values: tuple[tuple[str, str], ...] = ()

    def text(self, language: Language, time: Callable[[str], str] = str) -> str:
        """Return the text; `time` completes the times in it, for example with those of Paris."""
        words = self.code.french if language == "fr" else self.code.english
        values = {key: _in_words(key, value, language, time) for key, value in self.values}
        return words.format(fragment=self.fragment, **values)


@dataclass(frozen=True, slots=True)
class Readings:
    """The files that were read."""

    files: int
    length: int
    """Bytes of all files together."""
    digest: str
    """SHA-256 (hex) of the list that `sha256sum` prints of them (FORMAT.md §7.8); empty where one was not read to its end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole verdict; `integrity`, `completeness`, `origin`, `time` are keys of `ANSWERS`."""

    form: Form
    recording: str
    camera: str
    integrity: str
    completeness: str
    origin: str
    time: str
    marks: str
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    omitted: int
    """Findings and notes beyond the bound, which are only counted; `untold` in JSON."""
    signer: str
    """Id (hex) of the long-term key that certifies the signer, as the chain claims."""
    start_ns: int | None
    end_ns: int | None
    fragments: int
    checked_bytes: int
    head: str
    start: Start | None = None
    """The genuine Start, None where there is none."""
    close: End | Recovery | None = None
    """The genuine record that closes the chain, None where there is none."""
    read: Readings | None = None
    """What was read, where that was digested (`readings.HashingReader`)."""
    trusted: str = ""
    """Fingerprint (SHA-256, hex) of the public key that was given; empty where none was."""

    @property
    def exit_code(self) -> int:
        """0: no finding; 1: at least one."""
        return 1 if self.findings else 0

    def answers(self, language: Language) -> dict[Axis, str]:
        """Return the four answers as text."""
        return {axis: _word(ANSWERS[getattr(self, axis.value)], language) for axis in Axis}

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `--json`: answers as keys and as text, findings and notes with their code and text."""
        return {
            "form": self.form.value,
            "recording": self.recording,
            "camera": self.camera,
            **{axis.value: getattr(self, axis.value) for axis in Axis},
            "words": {language: self.answers(language) for language in LANGUAGES},
            "marks": self.marks,
            "findings": _plain(self.findings),
            "notes": _plain(self.notes),
            "untold": self.omitted,
            "signer": self.signer,
            "trusted_key": self.trusted,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "fragments": self.fragments,
            "checked_bytes": self.checked_bytes,
            "head": self.head,
            "recorded": None if self.start is None else _plain_start(self.start),
            "closed": None if self.close is None else _plain_close(self.close),
            "read": None if self.read is None else asdict(self.read),
            "exit_code": self.exit_code,
        }


_TIMES = {"at", "until", "since"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC|-?\d+ ns")
_IMPOSSIBLE = ("heure impossible : ", "impossible time: ")
_EARLIEST_NS, _LATEST_NS = 946_684_800_000_000_000, 4_102_444_800_000_000_000
"""2000-01-01 and 2100-01-01."""
_MAX_MARKS = 4
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters that are not seen."""
_WORD = re.compile(r"[\w.,/+@?-]+")
_QUOTES = frozenset('«»‹›"“”„\uff02\u301d\u301e\u301f\u275d\u275e')

LANGUAGES: tuple[Language, ...] = ("fr", "en")

ANSWERS: dict[str, tuple[str, str]] = {
    "intact": ("intact", "intact"),
    "intact as stored": (
        "intact, contrôlé tel que conservé (sans la clé de déchiffrement)",
        "intact, checked as stored (without the decryption key)",
    ),
    "altered": ("ALTÉRÉ", "ALTERED"),
    "not judged": ("ne peut être jugée", "cannot be judged"),
    "complete": ("complet", "complete"),
    "complete for this interval": ("complet pour cet intervalle", "complete for this interval"),
    "interrupted": ("INTERROMPU", "INTERRUPTED"),
    "open": ("OUVERT, sans fin signée", "OPEN, without a signed end"),
    "incomplete": ("INCOMPLET", "INCOMPLETE"),
    "proved": ("prouvée", "proved"),
    "not proved": ("NON PROUVÉE", "NOT PROVED"),
    "consistent": (
        "cohérente d'après l'horloge du relais, qu'aucun tiers n'atteste",
        "consistent by the relay's own clock, which no third party attests",
    ),
    "suspect": (
        "suspecte, et déclarée telle par le relais lui-même",
        "suspect, and declared so by the relay itself",
    ),
    "time not proved": ("NON PROUVÉE", "NOT PROVED"),
}

AXES: dict[Axis, tuple[str, str]] = {
    Axis.INTEGRITY: ("Intégrité", "Integrity"),
    Axis.COMPLETENESS: ("Complétude", "Completeness"),
    Axis.ORIGIN: ("Origine", "Origin"),
    Axis.TIME: ("Heure", "Time"),
}

FORMS: dict[Form, tuple[str, str]] = {
    Form.STORED: ("original chiffré, contrôlé tel que conservé", "encrypted original, checked as stored"),
    Form.OPENED: ("original chiffré, contrôlé et déchiffré", "encrypted original, checked and decrypted"),
    Form.EXPORT: ("export de l'original en clair", "export of the plain original"),
    Form.CHAIN_ONLY: ("chaîne seule : l'original est celui de la caméra", "chain alone: the original is the camera's"),
    Form.DERIVED: ("copie dérivée avec sa chaîne", "derived copy with its chain"),
    Form.UNSIGNED: ("images sans chaîne", "media without a chain"),
}


CAUSES: dict[str, tuple[str, str]] = {
    "radio": ("liaison radio", "radio link"),
    "reconnect": ("reconnexion de la caméra", "camera reconnecting"),
    "tap_overflow": ("file d'attente pleine", "queue overflow"),
    "disk": ("disque", "disk"),
    "recorder": ("enregistreur", "recorder"),
    "clock": ("horloge", "clock"),
    "paused": ("pause", "pause"),
    "unknown": ("cause inconnue", "unknown cause"),
    "not_recorded": ("reçu, mais non enregistré", "received, not recorded"),
    "late_track": ("piste commencée plus tard", "track that began later"),
    "silence": ("silence déclaré", "declared silence"),
    "recovery_point": ("reprise en cours de route", "recovery point"),
}
SOURCES: dict[str, tuple[str, str]] = {
    "sender_report": ("l'horloge de la caméra", "the camera's clock"),
    "arrival": ("leur arrivée", "their arrival"),
}
"""What the clock of a track was measured against."""
EVENTS: dict[str, tuple[str, str]] = {
    "recording begun": ("enregistrement commencé", "recording begun"),
    "recording closed": ("enregistrement clos, avec cette fin même", "recording closed, with this very end"),
    "extraction requested": ("extraction demandée", "extraction requested"),
    "handing over begun": ("remise de l'extraction commencée", "handing over of the extraction begun"),
}
"""Events of journal entries, as notes name them."""
TRACKS: dict[str, tuple[str, str]] = {
    "*": ("image et son", "picture and sound"),
    "video": ("image", "picture"),
    "audio": ("son", "sound"),
}


def _in_words(key: str, value: str, language: Language, time: Callable[[str], str]) -> str:
    """Return a value of a finding as text: a time, a length, a known word, else what a stranger may have written."""
    if key in _TIMES and _TIME.fullmatch(value):
        return time(moment_text(value, language))
    if key == "seconds" and language == "fr":
        return foreign_text(value.replace(".", ","))
    words = {"cause": CAUSES, "track": TRACKS, "event": EVENTS, "source": SOURCES}.get(key, {})
    return _word(words[value], language) if value in words else foreign_text(value)


def _word(pair: tuple[str, str], language: Language) -> str:
    return pair[0 if language == "fr" else 1]


def _plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "code": finding.code.name.lower(),
            "axis": finding.code.axis.value,
            "fragment": finding.fragment,
            "values": dict(finding.values),
            **{language: finding.text(language) for language in LANGUAGES},
        }
        for finding in findings
    ]


def _plain_start(start: Start) -> dict[str, str | None]:
    names = ("label", "service", "regime", "bearer", "intervention", "trigger", "threat", "expires_on")
    return {name: getattr(start, name) for name in names} | {"original": start.original.value}


def _plain_close(close: End | Recovery) -> dict[str, Any]:
    if isinstance(close, Recovery):
        return {"how": "recovery", "cause": close.cause, "at_ns": close.recovered_ns}
    return {"how": "end", "reason": close.reason.value, "author": close.author, "at_ns": close.end_ns}


def printable(text: str) -> str:
    """Return `text` without what cannot be seen or moves what stands around it, so that a hostile name cannot drive a terminal.

    Control and direction characters and blanks that are letters become `�`; runs of spaces become one; marks beyond four on
    one letter are left out.
    """
    shown, marks = [], 0
    for letter in " ".join(text.split()):
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= _MAX_MARKS:
            shown.append(letter if letter.isprintable() and letter not in _BLANK else "�")
    return "".join(shown)


def foreign_text(text: str, *, always: bool = False) -> str:
    """Return a text that a stranger may have written: within quotation marks that it cannot end, unless it is one plain word.

    `always`: quote a plain word too.
    """
    if not always and _WORD.fullmatch(text):
        return text
    inner = "".join("'" if letter in _QUOTES else letter for letter in printable(text))
    return f"«\u00a0{inner}\u00a0»"


def moment_text(text: str, language: Language) -> str:
    """Return what `utc_text` gave, in words where it is no time at which anybody can have recorded."""
    return f"({_word(_IMPOSSIBLE, language)}{text})" if text.endswith(" ns") else text


def utc_text(utc_ns: int) -> str:
    """Return `2026-11-22 21:04:10.123 UTC`; a time before 2000 or after 2099, which no clock of ours says, in nanoseconds.

    `relay.base.clock` needs the time zone database, which a court expert's machine may lack.
    """
    if not _EARLIEST_NS <= utc_ns < _LATEST_NS:
        return f"{utc_ns} ns"
    at = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{utc_ns // 1_000_000 % 1000:03d} UTC"
