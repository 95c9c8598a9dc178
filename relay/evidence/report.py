"""A verdict as plain text: what the signed start and end say, four answers, marks, findings, and what was read with which key.

Owns: the lines, their words in French and English, times in UTC and Paris.  Must never know: how a finding was made.

Texts in a chain and names of files come from strangers.  Each stands within quotation marks that it cannot end, and every
line is wrapped here, with what follows indented, so that no text can look like a line of the report (`verdict.foreign_text`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from relay.evidence.records import End, Reason, Recovery, Start
from relay.evidence.verdict import (
    AXES,
    FORMS,
    Axis,
    Finding,
    Language,
    Mark,
    Verdict,
    foreign_text,
    moment_text,
    utc_text,
)

VERSION = "0.1.0"
"""The verifier's version: that of the package."""
_LABEL = 16
_INDENT = "    "
_NARROWEST = 40
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{3} UTC")

MARKS: dict[Mark, tuple[str, str]] = {
    Mark.INTACT: ("comme scellé", "as sealed"),
    Mark.ALTERED: ("altéré", "altered"),
    Mark.MISSING: ("manquant", "missing"),
    Mark.MISPLACED: ("déplacé ou répété", "out of place or repeated"),
    Mark.UNKNOWN: ("ne peut être jugé", "cannot be judged"),
    Mark.NOT_EXPORTED: ("non exporté", "not exported"),
}
REASONS: dict[Reason, tuple[str, str]] = {
    Reason.STOPPED: ("arrêt demandé", "stopped on request"),
    Reason.LOST: ("caméra perdue", "camera lost"),
    Reason.SHUTDOWN: ("arrêt du relais", "the relay was shut down"),
    Reason.REVOKED: ("caméra révoquée", "camera revoked"),
    Reason.REFUSED: ("enregistrement refusé", "recording refused"),
}
TRIGGERS: dict[str, tuple[str, str]] = {
    "button pressed": ("appui sur le bouton", "button pressed"),
    "request of the command post": ("demande du poste de commandement", "request of the command post"),
    "publication without a live socket": ("émission sans connexion de commande", "publication without a live socket"),
}
REGIMES: dict[str, tuple[str, str]] = {
    "bodycam_pn_gn": (
        "caméra individuelle, police nationale ou gendarmerie (CSI L241-1)",
        "body camera, national police or gendarmerie (CSI L241-1)",
    ),
    "bodycam_pm": ("caméra individuelle, police municipale (CSI L241-2)", "body camera, municipal police (CSI L241-2)"),
    "bodycam_sis": ("caméra individuelle, sapeurs-pompiers (CSI L241-3)", "body camera, fire service (CSI L241-3)"),
    "embarquee": ("caméra embarquée (CSI L243-1)", "vehicle camera (CSI L243-1)"),
    "videoprotection": ("vidéoprotection", "public video protection"),
}
"""Names of `policy.regimes`, with the article; the single file does not hold that module."""
FACTS: dict[str, tuple[str, str]] = {
    "recording": ("Enregistrement", "Recording"),
    "camera": ("Caméra", "Camera"),
    "bearer": ("Porteur", "Bearer"),
    "service": ("Service", "Service"),
    "regime": ("Régime", "Regime"),
    "intervention": ("Intervention", "Intervention"),
    "trigger": ("Déclenchement", "Trigger"),
    "threat": ("Menace", "Threat"),
    "start": ("Début", "Start"),
    "end": ("Fin", "End"),
    "expires_on": ("À effacer le", "To be erased on"),
}


def report(verdict: Verdict, language: Language, *, width: int = 100, encode: Callable[[str], str] = str) -> list[str]:
    """Return the verdict as lines of plain text, none wider than `width` columns (40 at least).

    `encode`: replaces what the terminal cannot show, before lines are wrapped: an escape is wider than its letter.
    """
    width = max(width, _NARROWEST)
    zone = paris()
    lines = [_pair(FORMS[verdict.form], language)]
    lines += _facts(verdict, language, zone)
    answers = verdict.answers(language)
    lines += [_labelled(_pair(AXES[axis], language), answers[axis]) for axis in Axis]
    lines += _legend(verdict.marks, language)
    text = [piece for line in lines for piece in wrap(encode(line), width)]
    text += [verdict.marks[at : at + width] for at in range(0, len(verdict.marks), width)]
    rest = [f"! {_local(finding, language, zone)}" for finding in verdict.findings]
    rest += [f"- {_local(note, language, zone)}" for note in verdict.notes]
    rest += _foot(verdict, language, zone)
    return text + [piece for line in rest for piece in wrap(encode(line), width)]


def paris() -> tzinfo | None:
    """Return the zone Europe/Paris, None on a machine without time zones."""
    try:
        return ZoneInfo("Europe/Paris")
    except (KeyError, OSError, ValueError):
        return None


def when(utc_ns: int, language: Language, zone: tzinfo | None) -> str:
    """Return a time in UTC and, where there is a zone, in Paris."""
    return _with_local(moment_text(utc_text(utc_ns), language), language, zone)


def _with_local(text: str, language: Language, zone: tzinfo | None) -> str:
    found = _STAMP.fullmatch(text)
    if found is None or zone is None:
        return text
    local = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).astimezone(zone)
    return f"{text} ({local:%Y-%m-%d %H:%M:%S} {'à Paris' if language == 'fr' else 'in Paris'})"


def _local(finding: Finding, language: Language, zone: tzinfo | None) -> str:
    return finding.text(language, lambda text: _with_local(text, language, zone))


def _facts(verdict: Verdict, language: Language, zone: tzinfo | None) -> Iterator[str]:
    """What the signed start and end say; without a genuine start there is nothing that anybody signed."""
    start = verdict.start
    if start is None:
        return
    if verdict.origin != "proved":
        yield _pair(
            (
                "Ce que dit le début de la chaîne, dont l'origine n'est pas prouvée :",
                "What the start of the chain says, whose origin is not proved:",
            ),
            language,
        )
    for name, value in _said_by_start(start, language):
        yield _labelled(_pair(FACTS[name], language), value)
    yield _labelled(_pair(FACTS["start"], language), when(start.started_ns, language, zone))
    yield _labelled(_pair(FACTS["end"], language), _end(verdict, language, zone))
    if start.expires_on:
        yield _labelled(_pair(FACTS["expires_on"], language), foreign_text(start.expires_on))


def _said_by_start(start: Start, language: Language) -> Iterator[tuple[str, str]]:
    unsaid = _pair(("non indiqué", "not stated"), language)
    yield "recording", foreign_text(start.recording)
    yield "camera", f"{foreign_text(start.camera)}, {foreign_text(start.label, always=True)}"
    yield "bearer", foreign_text(start.bearer, always=True) if start.bearer else unsaid
    yield "service", foreign_text(start.service, always=True) if start.service else unsaid
    regime = REGIMES.get(start.regime)
    yield "regime", _pair(regime, language) if regime else foreign_text(start.regime)
    yield "intervention", foreign_text(start.intervention) if start.intervention else unsaid
    known = TRIGGERS.get(start.trigger)
    yield "trigger", _pair(known, language) if known else foreign_text(start.trigger, always=True)
    yield "threat", foreign_text(start.threat, always=True) if start.threat else unsaid


def _end(verdict: Verdict, language: Language, zone: tzinfo | None) -> str:
    close = verdict.close
    if isinstance(close, End):
        by = foreign_text(close.author, always=True) if close.author else _pair(("non indiqué", "not stated"), language)
        at, reason = when(close.end_ns, language, zone), _pair(REASONS[close.reason], language)
        return _pair(("{at} ; {reason} ; par {by}", "{at}; {reason}; by {by}"), language).format(at=at, reason=reason, by=by)
    last = "?" if verdict.end_ns is None else when(verdict.end_ns, language, zone)
    if isinstance(close, Recovery):
        words = (
            "sans fin signée ; couvert jusqu'au {last} ; clos par une reprise signée le {at} ({cause})",
            "without a signed end; covered until {last}; closed by a signed recovery at {at} ({cause})",
        )
        cause, at = foreign_text(close.cause, always=True), when(close.recovered_ns, language, zone)
        return _pair(words, language).format(last=last, at=at, cause=cause)
    return _pair(("sans fin signée ; couvert jusqu'au {last}", "without a signed end; covered until {last}"), language).format(
        last=last
    )


def _legend(marks: str, language: Language) -> Iterator[str]:
    """Say what each mark means that occurs, and how often it does."""
    if not marks:
        return
    counts = Counter(marks)
    colon = _pair((" :", ":"), language)
    said = ", ".join(f"{mark.value} {_pair(MARKS[mark], language)}{colon} {counts[mark]}" for mark in Mark if counts[mark])
    yield _labelled(f"Fragments ({len(marks)})", said)


def _foot(verdict: Verdict, language: Language, zone: tzinfo | None) -> Iterator[str]:
    if verdict.omitted:
        words = ("… et {count} autres constatations ou notes", "… and {count} further findings or notes")
        yield _pair(words, language).format(count=verdict.omitted)
    yield _labelled(_pair(("Vérificateur", "Verifier"), language), f"bodycam-relay {VERSION}")
    if verdict.trusted:
        words = ("empreinte SHA-256 {key}", "SHA-256 fingerprint {key}")
        yield _labelled(
            _pair(("Clé de confiance", "Trusted key"), language), _pair(words, language).format(key=verdict.trusted)
        )
    if verdict.read is not None:
        yield _labelled(_pair(("Lu", "Read"), language), _read(verdict, language))
    if zone is None:
        yield _pair(
            (
                "Cette machine n'a pas le fuseau Europe/Paris : les heures sont en UTC seulement.",
                "This machine lacks the time zone Europe/Paris: times are in UTC only.",
            ),
            language,
        )
    yield _conclusion(verdict, language)


def _read(verdict: Verdict, language: Language) -> str:
    assert verdict.read is not None
    words = ("{files} fichiers, {length} octets", "{files} files, {length} bytes")
    said = _pair(words, language).format(files=verdict.read.files, length=verdict.read.length)
    if not verdict.read.digest:
        return said + _pair((" ; un fichier ne peut être lu en entier", "; a file cannot be read to its end"), language)
    return said + _pair((" ; SHA-256 de leur liste ", "; SHA-256 of their list "), language) + verdict.read.digest


def _conclusion(verdict: Verdict, language: Language) -> str:
    if verdict.exit_code == 0:
        words = (
            "Aucune constatation : rien de ce qui a été contrôlé ne parle contre l'enregistrement (code 0).",
            "No finding: nothing that was checked speaks against the recording (exit code 0).",
        )
        return _pair(words, language)
    words = (
        "Constatations contre l'enregistrement, marquées « ! » : {count} (code 1).",
        'Findings against the recording, marked "!": {count} (exit code 1).',
    )
    return _pair(words, language).format(count=len(verdict.findings))


def _labelled(label: str, value: str) -> str:
    return f"{label:<{_LABEL}}: {value}"


def _pair(pair: tuple[str, str], language: Language) -> str:
    return pair[0 if language == "fr" else 1]


# --- lines that a terminal does not break ------------------------------------------------------------------------------


def wrap(line: str, width: int) -> Iterator[str]:
    """Yield a line in pieces of at most `width` columns, each but the first indented; long words are cut."""
    piece, used, empty = "", 0, True
    for word in line.split(" "):
        columns = _columns(word)
        if not empty and used + 1 + columns > width:
            yield piece
            piece, used, empty = _INDENT, len(_INDENT), True
        if not empty:
            piece, used = piece + " ", used + 1
        for letter in word:
            if used + _columns(letter) > width:
                yield piece
                piece, used = _INDENT, len(_INDENT)
            piece, used = piece + letter, used + _columns(letter)
        empty = False
    yield piece


def _columns(text: str) -> int:
    """Return how many columns a terminal needs at most: letters of East Asia and pictures take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
