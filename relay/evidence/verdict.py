"""What a verification says: four answers, one mark per fragment, findings and notes, in plain words, and an exit code.

What this file owns: every word of a verdict, in French and English.  What it must never know: how anything was found out.

A *finding* speaks against the recording and makes the exit code 1; a *note* does not (an explained gap, say).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Literal, TypeAlias

Language: TypeAlias = Literal["fr", "en"]


class Axis(StrEnum):
    """The four questions."""

    INTEGRITY = "integrity"
    COMPLETENESS = "completeness"
    ORIGIN = "origin"
    TIME = "time"


class Form(StrEnum):
    """What was given."""

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


class Code(Enum):
    """What can be said: its axis, whether it speaks against the recording, and the words (French, English)."""

    RECORD_ALTERED = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} de la chaîne a été altérée",
        "record {record} of the chain was altered",
    )
    RECORD_MISPLACED = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} de la chaîne est répétée ou déplacée",
        "record {record} of the chain is repeated or out of place",
    )
    RECORDS_MISSING = (
        Axis.COMPLETENESS,
        True,
        "{count} inscription(s) manquent dans la chaîne avant l'inscription {record}",
        "{count} record(s) are missing from the chain before record {record}",
    )
    CHAIN_BROKEN = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} ne suit pas celle qui la précède",
        "record {record} does not follow the one before it",
    )
    CHAIN_UNREADABLE = (
        Axis.INTEGRITY,
        True,
        "la chaîne est illisible à partir de là : {why}",
        "the chain cannot be read from there on: {why}",
    )
    CHAIN_RULE = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} enfreint une règle du format : {why}",
        "record {record} breaks a rule of the format: {why}",
    )
    NO_START = (
        Axis.COMPLETENESS,
        True,
        "le début signé manque",
        "the signed start is missing",
    )
    AFTER_END = (
        Axis.INTEGRITY,
        True,
        "quelque chose suit la fin signée",
        "something follows the signed end",
    )
    COUNTS_DIFFER = (
        Axis.COMPLETENESS,
        True,
        "la fin signée annonce {said} fragments et {gaps_said} lacunes ; la chaîne en porte {found} et {gaps_found}",
        "the signed end counts {said} fragments and {gaps_said} gaps; the chain holds {found} and {gaps_found}",
    )
    INTERRUPTED = (
        Axis.COMPLETENESS,
        True,
        "enregistrement interrompu, sans fin signée : il est couvert jusqu'au {until}",
        "recording interrupted, without a signed end: it is covered until {until}",
    )
    RECOVERED = (
        Axis.COMPLETENESS,
        True,
        "enregistrement interrompu ({cause}), clos par une reprise signée : il est couvert jusqu'au {until}",
        "recording interrupted ({cause}), closed by a signed recovery: it is covered until {until}",
    )
    FRAGMENT_ALTERED = (
        Axis.INTEGRITY,
        True,
        "fragment {fragment} altéré ou remplacé",
        "fragment {fragment} was altered or replaced",
    )
    FRAGMENT_MISSING = (
        Axis.COMPLETENESS,
        True,
        "fragment {fragment} manquant",
        "fragment {fragment} is missing",
    )
    FRAGMENTS_MISSING = (
        Axis.COMPLETENESS,
        True,
        "{count} fragments manquants, du {fragment} au {last}",
        "{count} fragments are missing, from {fragment} to {last}",
    )
    FRAGMENT_NOT_SEALED = (
        Axis.INTEGRITY,
        True,
        "l'inscription {record} du fragment {fragment} a été altérée : le fragment ne peut être jugé",
        "record {record} of fragment {fragment} was altered: the fragment cannot be judged",
    )
    FRAGMENT_MISPLACED = (
        Axis.INTEGRITY,
        True,
        "le fragment {other} se trouve à la place du fragment {fragment}",
        "fragment {other} stands in the place of fragment {fragment}",
    )
    FRAGMENT_TWICE = (
        Axis.INTEGRITY,
        True,
        "le fragment {fragment} figure plusieurs fois",
        "fragment {fragment} stands there more than once",
    )
    PLAIN_DIFFERS = (
        Axis.INTEGRITY,
        True,
        "le fragment {fragment}, déchiffré, n'est pas celui qui a été scellé",
        "fragment {fragment}, once decrypted, is not what was sealed",
    )
    WRONG_RECORDING_KEY = (
        Axis.INTEGRITY,
        True,
        "la clé de déchiffrement donnée n'est pas celle de cet enregistrement",
        "the decryption key given is not this recording's",
    )
    EXTRA_BYTES = (
        Axis.INTEGRITY,
        True,
        "le fichier {file} porte {count} octets qu'aucun maillon ne couvre",
        "file {file} holds {count} bytes that no link covers",
    )
    FOREIGN_FILE = (
        Axis.INTEGRITY,
        True,
        "le fichier {file} porte des images que la chaîne ne connaît pas",
        "file {file} holds media that the chain does not know",
    )
    GAP_UNEXPLAINED = (
        Axis.COMPLETENESS,
        True,
        "lacune inexpliquée de {seconds} s le {at}",
        "unexplained gap of {seconds} s at {at}",
    )
    NO_PUBLIC_KEY = (
        Axis.ORIGIN,
        True,
        "aucune clé publique de confiance n'a été donnée ; le signataire se dit certifié par la clé {key}",
        "no trusted public key was given; the signer claims to be certified by key {key}",
    )
    FOREIGN_KEY = (
        Axis.ORIGIN,
        True,
        "le signataire est certifié par la clé {key}, qui n'est pas la clé de confiance {wanted}",
        "the signer is certified by key {key}, which is not the trusted key {wanted}",
    )
    BAD_CERTIFICATE = (
        Axis.ORIGIN,
        True,
        "le certificat du signataire (inscription {record}) se réclame de la clé {key} mais n'est pas signé par elle",
        "the signer's certificate (record {record}) names key {key} but is not signed by it",
    )
    ROLLOVER_FORGED = (
        Axis.ORIGIN,
        True,
        "le changement de clé de l'inscription {record} n'est pas signé par la nouvelle clé",
        "the change of key at record {record} is not signed by the new key",
    )
    KEY_REVOKED = (
        Axis.ORIGIN,
        True,
        "la clé {key} est révoquée et rien n'atteste que la chaîne existait avant",
        "key {key} is revoked and nothing attests that the chain existed before",
    )
    CERTIFICATE_LIFE = (
        Axis.TIME,
        True,
        "l'inscription {record} se date du {at}, hors de la vie du certificat de son signataire",
        "record {record} says {at}, outside the life of its signer's certificate",
    )
    CLOCK_BACK = (
        Axis.TIME,
        True,
        "l'horloge recule de {seconds} s au fragment {fragment} sans être déclarée suspecte",
        "the clock goes back by {seconds} s at fragment {fragment} without being declared suspect",
    )
    RETIMED = (
        Axis.TIME,
        True,
        "au fragment {fragment}, la durée des images et l'heure d'arrivée divergent de {seconds} s",
        "at fragment {fragment} the media's own time and its arrival differ by {seconds} s",
    )
    STATEMENT_FOREIGN = (
        Axis.ORIGIN,
        True,
        "l'attestation d'intervalle n'est pas signée par la clé de confiance",
        "the statement of the interval is not signed by the trusted key",
    )
    STATEMENT_MISMATCH = (
        Axis.COMPLETENESS,
        True,
        "l'attestation d'intervalle ne correspond pas à cette chaîne : {why}",
        "the statement of the interval does not fit this chain: {why}",
    )
    DERIVED_ONLY = (
        Axis.INTEGRITY,
        True,
        "copie dérivée : seules les empreintes des pistes ont été comparées, l'original n'est pas là",
        "derived copy: only the tracks' digests were compared, the original is not here",
    )
    DERIVED_DIFFERS = (
        Axis.INTEGRITY,
        True,
        "la copie dérivée {file} diffère de l'original ({track}) au fragment {fragment}",
        "the derived copy {file} differs from the original ({track}) at fragment {fragment}",
    )
    DERIVED_UNREADABLE = (
        Axis.INTEGRITY,
        True,
        "la copie dérivée {file} est illisible : {why}",
        "the derived copy {file} cannot be read: {why}",
    )
    DERIVED_TIME = (
        Axis.TIME,
        True,
        "la copie dérivée {file} n'a pas la cadence de l'original ({track}) au fragment {fragment}",
        "the derived copy {file} does not keep the original's pace ({track}) at fragment {fragment}",
    )
    UNSIGNED = (
        Axis.ORIGIN,
        True,
        "aucune chaîne n'accompagne ces images : rien ne peut en être prouvé",
        "no chain comes with this media: nothing about it can be proved",
    )
    # --- notes
    GAP = (
        Axis.COMPLETENESS,
        False,
        "lacune de {seconds} s le {at} ({cause}, {track})",
        "gap of {seconds} s at {at} ({cause}, {track})",
    )
    CLOCK_SUSPECT = (
        Axis.TIME,
        False,
        "l'horloge est déclarée suspecte au fragment {fragment}",
        "the clock is declared suspect at fragment {fragment}",
    )
    SYNC_BY_ARRIVAL = (
        Axis.TIME,
        False,
        "piste {track} synchronisée par l'heure d'arrivée, faute de rapport de la caméra",
        "track {track} is synchronised by arrival, for want of a report from the camera",
    )
    NOT_COVERED = (
        Axis.INTEGRITY,
        False,
        "le fichier {file} n'est pas couvert par le sceau",
        "file {file} is not covered by the seal",
    )
    NOT_EXPORTED = (
        Axis.COMPLETENESS,
        False,
        "non exporté : tout ce qui est hors de l'intervalle du {at} au {until}",
        "not exported: everything outside the interval from {at} to {until}",
    )
    DERIVED_SAME = (
        Axis.INTEGRITY,
        False,
        "la copie dérivée {file} porte les mêmes images et sons que l'original",
        "the derived copy {file} holds the same pictures and sound as the original",
    )
    SUCCESSION = (
        Axis.ORIGIN,
        False,
        "la clé {key} est attestée par celle qui lui succède, {by}",
        "key {key} is attested by the key that follows it, {by}",
    )
    FOLLOWS = (
        Axis.COMPLETENESS,
        False,
        "cet enregistrement fait suite à {recording}, interrompu",
        "this recording follows {recording}, which was interrupted",
    )

    def __init__(self, axis: Axis, against: bool, french: str, english: str) -> None:
        self.axis = axis
        self.against = against
        self.french = french
        self.english = english


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say, with the fragment to which it belongs where there is one."""

    code: Code
    fragment: int | None = None
    values: tuple[tuple[str, str], ...] = ()

    def say(self, language: Language) -> str:
        """Return the words."""
        words = self.code.french if language == "fr" else self.code.english
        return words.format(fragment=self.fragment, **{key: printable(text) for key, text in self.values})


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
    untold: int
    """Findings and notes beyond the bound that are counted only."""
    signer: str
    """Id (hex) of the long-term key that certifies the signer, as the chain claims."""
    start_ns: int | None
    end_ns: int | None
    fragments: int
    checked_bytes: int
    head: str

    @property
    def exit_code(self) -> int:
        """0: nothing speaks against it; 1: something does."""
        return 1 if self.findings else 0

    def answers(self, language: Language) -> dict[Axis, str]:
        """Return the four answers in words."""
        return {axis: _word(ANSWERS[getattr(self, axis.value)], language) for axis in Axis}

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `--json`: answers as keys and in words, findings and notes with their code and words."""
        return {
            "form": self.form.value,
            "recording": self.recording,
            "camera": self.camera,
            **{axis.value: getattr(self, axis.value) for axis in Axis},
            "words": {language: self.answers(language) for language in LANGUAGES},
            "marks": self.marks,
            "findings": _plain(self.findings),
            "notes": _plain(self.notes),
            "untold": self.untold,
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


def _word(pair: tuple[str, str], language: Language) -> str:
    return pair[0 if language == "fr" else 1]


def _plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "code": finding.code.name.lower(),
            "axis": finding.code.axis.value,
            "fragment": finding.fragment,
            "values": dict(finding.values),
            **{language: finding.say(language) for language in LANGUAGES},
        }
        for finding in findings
    ]


def printable(text: str) -> str:
    """Return `text` without control characters, so that a hostile name cannot drive a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def moment(utc_ns: int) -> str:
    """Return `2026-11-22 21:04:10.123 UTC`; a time that no calendar knows is told in nanoseconds.

    `relay.base.clock` would need the time zone database, which a court expert's machine may lack.
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
        lines.append(f"{moment(verdict.start_ns)} → {moment(verdict.end_ns)}")
    answers = verdict.answers(language)
    lines += [f"{_word(AXES[axis], language):<13}: {answers[axis]}" for axis in Axis]
    lines += [verdict.marks[at : at + width] for at in range(0, len(verdict.marks), width)]
    lines += [f"! {finding.say(language)}" for finding in verdict.findings]
    lines += [f"- {note.say(language)}" for note in verdict.notes]
    if verdict.untold:
        lines.append(f"… +{verdict.untold}")
    return lines
