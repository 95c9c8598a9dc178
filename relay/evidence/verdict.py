"""The verdict of a verification: four answers, one mark per fragment, findings and notes in words, and an exit code.

Owns: a verdict and its texts in French and English.  Must never know: how a finding was made.

A *finding* speaks against the recording and makes the exit code 1.  A *note* does not (an explained gap, for example).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from relay.evidence.codes import Axis, Code

__all__ = ["ANSWERS", "Axis", "Code", "Finding", "Form", "Language", "Mark", "Verdict", "utc_text", "printable", "report"]

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

    def text(self, language: Language) -> str:
        """Return the text."""
        words = self.code.french if language == "fr" else self.code.english
        values = {key: _translated(key, printable(text), language) for key, text in self.values}
        return words.format(fragment=self.fragment, **values)


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
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "fragments": self.fragments,
            "checked_bytes": self.checked_bytes,
            "head": self.head,
            "exit_code": self.exit_code,
        }


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
    "incomplete": ("INCOMPLET", "INCOMPLETE"),
    "proved": ("prouvée", "proved"),
    "not proved": ("NON PROUVÉE", "NOT PROVED"),
    "consistent": ("cohérente", "consistent"),
    "suspect": ("suspecte, et déclarée telle", "suspect, and declared so"),
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
}
TRACKS: dict[str, tuple[str, str]] = {
    "*": ("toutes les pistes", "all tracks"),
    "video": ("image", "picture"),
    "audio": ("son", "sound"),
}


def _translated(key: str, text: str, language: Language) -> str:
    """Return a value as text where it is a cause or a track."""
    words = {"cause": CAUSES, "track": TRACKS}.get(key, {})
    return _word(words[text], language) if text in words else text


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


def printable(text: str) -> str:
    """Return `text` without control characters, so that a hostile name cannot drive a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def utc_text(utc_ns: int) -> str:
    """Return `2026-11-22 21:04:10.123 UTC`; a time outside the calendar is given in nanoseconds.

    `relay.base.clock` needs the time zone database, which a court expert's machine may lack.
    """
    try:
        at = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{utc_ns} ns"
    return f"{at:%Y-%m-%d %H:%M:%S}.{utc_ns // 1_000_000 % 1000:03d} UTC"


def report(verdict: Verdict, language: Language, *, width: int = 100) -> list[str]:
    """Return the verdict as lines of plain text."""
    lines = [f"{_word(FORMS[verdict.form], language)} · {printable(verdict.camera)} · {printable(verdict.recording)}"]
    if verdict.start_ns is not None and verdict.end_ns is not None:
        lines.append(f"{utc_text(verdict.start_ns)} → {utc_text(verdict.end_ns)}")
    answers = verdict.answers(language)
    lines += [f"{_word(AXES[axis], language):<13}: {answers[axis]}" for axis in Axis]
    lines += [verdict.marks[at : at + width] for at in range(0, len(verdict.marks), width)]
    lines += [f"! {finding.text(language)}" for finding in verdict.findings]
    lines += [f"- {note.text(language)}" for note in verdict.notes]
    if verdict.omitted:
        lines.append(f"… +{verdict.omitted}")
    return lines
