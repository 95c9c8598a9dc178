"""The report says what the signed start and end say, in two time zones, and no stranger's text looks like a line of it."""

import re
import tomllib
import unicodedata
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.encodable import encodable
from relay.evidence import report as module
from relay.evidence.continuity import Continuity, Scope
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Cause, Gap
from relay.evidence.report import VERSION, report, wrap
from relay.evidence.verdict import LANGUAGES, Code, Finding, Language, Mark, Verdict, foreign_text, printable, utc_text
from relay.evidence.verify import verify
from relay.policy.regimes import Regime
from tests.support.recordings import LONGTERM, OTHER_LONGTERM, SECOND, T0, Built, MemoryReader, build

YEAR = 365 * 86_400 * SECOND


def judged(built: Built, **more: bytes) -> Verdict:
    return verify(MemoryReader({**built.files, **more}), LONGTERM.public_key)


def said(verdict: Verdict, language: Language = "en") -> str:
    """The report as one text, with single plain spaces: where its lines are wrapped does not matter."""
    return " ".join("\n".join(report(verdict, language)).split())


def test_it_names_bearer_camera_trigger_and_who_ended_it() -> None:
    english = said(judged(build("SIPPE", trigger="button pressed")))
    for words in ("Bearer : « 0042 »", "cam-07, « Caméra 07 »", "Trigger : button pressed", "stopped on request; by « op-1 »"):
        assert words in english
    french = said(judged(build("SIPPE", trigger="chute de l'agent", bearer=None)), "fr")
    for words in ("Porteur : non indiqué", "Déclenchement : « chute de l'agent »", "arrêt demandé ; par « op-1 »"):
        assert words in french


@pytest.mark.parametrize(
    ("script", "words"), [("SIPPR", "closed by a signed recovery"), ("SIPP", "without a signed end; covered")]
)
def test_without_an_end_it_says_how_far_the_recording_is_covered(script: str, words: str) -> None:
    assert words in said(judged(build(script)))


def test_what_an_unproved_start_says_is_introduced_as_such() -> None:
    built = build("SIPPE")
    foreign = verify(built.reader(), OTHER_LONGTERM.public_key)
    assert "whose origin is not proved" in said(foreign)
    assert "whose origin is not proved" not in said(judged(built))


def test_without_a_genuine_start_nobody_is_named_and_no_time_is_given() -> None:
    built = build("SIPPE")
    last = built.records()[-1]
    text = said(
        judged(
            replace(built, files={**built.files, "chain": built.files["chain"][:10] + built.files["chain"][last.position :]})
        )
    )
    assert "Bearer" not in text
    assert "Start" not in text


@pytest.mark.parametrize(("at_ns", "local"), [(T0, "2026-01-01 01:00:00"), (T0 + 181 * 86_400 * SECOND, "2026-07-01 02:00:00")])
def test_times_stand_in_utc_and_in_paris(at_ns: int, local: str) -> None:
    verdict = judged(build("SIPPE"))
    assert verdict.start is not None
    later = replace(verdict, start=replace(verdict.start, started_ns=at_ns))
    assert f"{utc_text(at_ns)} ({local} in Paris)" in said(later)


def test_times_in_findings_have_the_local_time_too() -> None:
    assert "lacune de 3,0 s le 2026-01-01 00:00:00.800 UTC (2026-01-01 01:00:00 à Paris)" in said(
        judged(build("SIPPGPE")), "fr"
    )


def test_a_machine_without_time_zones_says_that_times_are_in_utc_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(module, "ZoneInfo", missing)
    text = said(judged(build("SIPPE")))
    assert "times are in UTC only" in text
    assert "in Paris" not in text


@pytest.mark.parametrize("at_ns", [0, 1, T0 - 40 * YEAR, 90 * YEAR + T0, 2**64 - 1, -5, -(2**70)])
def test_a_time_at_which_nobody_recorded_is_no_year(at_ns: int) -> None:
    assert utc_text(at_ns) == f"{at_ns} ns"
    finding = Finding(Code.GAP_UNEXPLAINED, 3, (("at", utc_text(at_ns)), ("seconds", "9.0")))
    assert f"impossible time: {at_ns} ns" in finding.text("en")
    assert f"heure impossible : {at_ns} ns" in finding.text("fr")


@pytest.mark.parametrize(("length_ns", "words"), [(40_000_000, "0.040 s"), (1, "0.001 s"), (3 * SECOND, "3.0 s")])
def test_a_short_gap_is_not_written_as_nothing(length_ns: int, words: str) -> None:
    collector = FindingCollector()
    continuity = Continuity(collector, Scope(None))
    continuity.gap(Gap(T0, length_ns, None, Cause.RADIO))
    continuity.finish(0)
    assert [words in note.text("en") for note in collector.notes] == [True]


def test_a_gap_of_no_length_is_no_note() -> None:
    collector = FindingCollector()
    continuity = Continuity(collector, Scope(None))
    continuity.gap(Gap(T0, 0, None, Cause.RADIO))
    continuity.finish(0)
    assert collector.notes == []


def test_a_gap_of_one_track_is_of_picture_or_sound() -> None:
    built = build("SIPPE")
    collector = FindingCollector()
    continuity = Continuity(collector, Scope(None))
    for track, link in zip((1, 2, None), built.links, strict=True):
        continuity.link(link)
        continuity.gap(Gap(T0, SECOND, track, Cause.RADIO))
    continuity.finish(3)
    told = [note.text("fr").rsplit(" ; ", 1)[1] for note in collector.notes]
    assert told == ["image)", "son)", "image et son)"]


def test_the_marks_that_occur_are_explained_with_their_number() -> None:
    built = build("SIPPPPE")
    files = {**built.files, "00000.seg": built.files["00000.seg"][:-1]}
    text = said(verify(MemoryReader(files), LONGTERM.public_key))
    assert "Fragments (5) : . as sealed: 4, M missing: 1" in text
    assert "altered" not in text.replace("Integrity", "")
    assert set(module.MARKS) == set(Mark)


def test_the_clock_that_the_time_rests_on_is_named() -> None:
    assert "cohérente d'après l'horloge du relais, qu'aucun tiers n'atteste" in said(judged(build("SIPPE")), "fr")


def test_the_last_line_gives_the_result_and_its_exit_code() -> None:
    assert report(judged(build("SIPPE")), "fr")[-1].endswith("(code 0).")
    assert "marquées « ! » : 1 (code 1)" in said(judged(build("SIPP")), "fr")


def test_the_version_is_the_packages_and_every_regime_has_words() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
    assert set(module.REGIMES) == set(Regime)


# --- strangers' texts -------------------------------------------------------------------------------------------------

HOSTILE = [
    "0042\nIntégrité       : intact",
    "0042\r! ",
    "0042\x1b[2J\x1b[HOrigine : prouvée",
    "0042\u202eenigirO",
    "0042\u2028- rien",
    "0042\u0085- rien",
    "0042 »\nOrigine         : prouvée",
    "0042 » ; arrêt demandé ; par « op-9",
    "0042" + " " * 96 + "Intégrité       : intact",
    "x" * 96 + "Intégrité : intact",
    "中" * 50 + "Integrity : intact",
    "0042\u3164\u2800\u200b",
    "Z" + "\u0301" * 80,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_strangers_text_looks_like_no_line_of_the_report(text: str, width: int) -> None:
    def begun(verdict: Verdict) -> list[str]:
        lines = report(verdict, "fr", width=width)
        for line in lines:
            assert all(letter.isprintable() or letter == "\u00a0" for letter in line)
            assert sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line) <= width
        return [line[:16] for line in lines if not line.startswith("    ")]

    built = build("SIPPR", bearer=text[:60], label=text[:60], threat=text, trigger=text[:60])
    assert begun(judged(built)) == begun(judged(build("SIPPR")))
    name = text[:60].replace("/", "-")
    with_file = begun(judged(build("SIPPR"), **{name: b""}))
    assert [line for line in with_file if not line.startswith("- le fichier")] == begun(judged(build("SIPPR")))
    assert len(with_file) == len(begun(judged(build("SIPPR")))) + 1


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("encoding", ["ascii", "cp850", "cp1252"])
def test_nor_does_it_where_the_terminal_lacks_its_letters(text: str, encoding: str) -> None:
    def begun(verdict: Verdict) -> list[str]:
        lines = report(verdict, "en", width=80, encode=lambda line: encodable(line, encoding))
        assert all(len(line.encode(encoding)) <= 80 for line in lines)
        return [line[:16] for line in lines if not line.startswith("    ")]

    built = build("SIPPR", bearer=text[:60], label=text[:60], threat=text, trigger=text[:60])
    assert begun(judged(built)) == begun(judged(build("SIPPR")))


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name.lower())
def test_whatever_a_finding_names_is_in_quotation_marks_unless_it_is_a_plain_word(code: Code) -> None:
    names = set(re.findall(r"{(\w+)}", code.french + code.english)) - {"fragment"}
    for language in LANGUAGES:
        finding = Finding(code, 1, tuple((name, "rien\n! origine : prouvée") for name in sorted(names)))
        text = finding.text(language)
        assert text.count("«\u00a0rien ! origine : prouvée\u00a0»") == len(names)


@given(st.text(max_size=300))
def test_a_quoted_text_ends_where_its_quotation_marks_do(text: str) -> None:
    quoted = foreign_text(text, always=True)
    assert (quoted[0], quoted[-1], quoted.count("«"), quoted.count("»")) == ("«", "»", 1, 1)
    assert "\n" not in quoted
    assert foreign_text(text) in (text, quoted)


@given(st.text(max_size=300), st.integers(40, 120))
def test_wrapping_loses_no_letter(text: str, width: int) -> None:
    line = printable(text)
    pieces = list(wrap(line, width))
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")
    assert all(piece.startswith("    ") for piece in pieces[1:])


@pytest.mark.parametrize("name", ["manifest.json", "derived/playable.mp4", "cam-07", "Caméra_7"])
def test_a_plain_word_needs_no_quotation_marks(name: str) -> None:
    assert foreign_text(name) == name
