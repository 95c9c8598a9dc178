"""A log line holds no address, no token, no name: whatever is logged, whoever logs it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from relay.app import logs
from relay.base.ids import new_token


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    sink = io.StringIO()
    root = logging.getLogger()
    before = root.handlers, root.level
    monkeypatch.setattr("sys.stderr", sink)
    logs.configure("debug", "json", "test")
    yield sink
    root.handlers, root.level = before[0], before[1]


def test_lines_are_json_with_time_level_and_process(lines: io.StringIO) -> None:
    logging.getLogger("relay.x").info("hello %s", "world", extra={"camera": "pm-1", "count": 3})
    entry = json.loads(lines.getvalue())
    assert (entry["event"], entry["level"], entry["process"], entry["camera"], entry["count"]) == (
        "hello world",
        "info",
        "test",
        "pm-1",
        3,
    )
    assert entry["timestamp"].endswith("Z")


def test_personal_data_is_struck_out_of_message_fields_and_tracebacks(lines: io.StringIO) -> None:
    token, log = new_token(), logging.getLogger("relay.x")
    log.warning(
        "peer 192.0.2.7 sent %s and a=ice-pwd:verysecretpassword", token, extra={"user": "marie", "where": "2001:db8::7"}
    )
    try:
        raise ValueError(f"bad token {token} from 198.51.100.9")
    except ValueError:
        log.exception("failed", extra={"author": "marie", "thing": ("203.0.113.4", token)})
    written = lines.getvalue()
    assert len(written.splitlines()) == 2
    for secret in (token, "192.0.2.7", "198.51.100.9", "203.0.113.4", "2001:db8::7", "verysecretpassword", "marie"):
        assert secret not in written
    assert "ValueError" in written


def test_a_line_on_a_terminal_holds_nothing_that_the_terminal_obeys(
    lines: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", "console", "test")
    try:
        raise ValueError("no \x1b[2J")
    except ValueError:
        logging.getLogger("relay.x").exception("camera \x1b]0;x\x07", extra={"label": "a\r\u202eb"})
    written = capsys.readouterr().err
    assert all(letter.isprintable() for letter in written.replace("\n", ""))
    assert "\\x1b[2J" in written


@pytest.mark.parametrize("key", ["secret", "session", "sign_in", "viewer_session", "publish_session"])
def test_a_session_of_any_kind_is_struck_out_by_its_name(lines: io.StringIO, key: str) -> None:
    logging.getLogger("relay.x").warning("it ended", extra={key: "short-4711"})
    assert "short-4711" not in lines.getvalue()
