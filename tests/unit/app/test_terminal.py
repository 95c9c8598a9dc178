"""What the commands print: names come from anybody, and a terminal obeys some of their characters."""

import pytest
from rich.console import Console

from relay.app import terminal
from relay.policy.texts import visible_text

HOSTILE = (
    "[/red]",
    "[bold]x[/bold]",
    "[link=file:x]x[/link]",
    "\x1b]0;title\x07",
    "a\rb",
    "\u202egnp",
    "\x9b31m",
    ":boom:",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_never_styles_a_table_nor_breaks_it(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "screen", Console(force_terminal=True, color_system="truecolor", width=120))
    terminal.show([{"user": "marie", "name": text}], ("user", "name"), as_json=False)
    styled = capsys.readouterr().out
    terminal.show([{"user": "marie", "name": "-" * len(visible_text(text))}], ("user", "name"), as_json=False)
    plain = capsys.readouterr().out
    assert visible_text(text) in styled
    assert styled.count("\x1b") == plain.count("\x1b")  # what Rich itself writes for the header
    assert "\x07" not in styled
    assert "\u202e" not in styled


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_shows_what_a_terminal_would_obey(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(f"camera {text}")
    terminal.complain(f"no camera {text}")
    shown = capsys.readouterr()
    assert shown.out == f"camera {visible_text(text)}\n"
    assert shown.err == f"no camera {visible_text(text)}\n"


def test_an_error_of_several_lines_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.complain("settings.toml:\nhttp.port: too large")
    assert capsys.readouterr().err == "settings.toml:\nhttp.port: too large\n"
