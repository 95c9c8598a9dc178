"""Browsers that somebody signed in with before: while strangers lock a name, such a browser keeps an allowance of its own.

Owns: the value of the cookie.  Must never know: HTTP, accounts, what is locked.

The cookie holds an entry for each of the last people who signed in with the browser, so that a shared one serves every shift.
An entry is no credential: it opens nothing, and names nobody to those who lack the key.

    entry = base64url(tag 6 | browser 9 | day 3 | mac 15), entries joined by "."
    tag   = HMAC(key, "name" | user)            finds the entry of a person
    mac   = HMAC(key, "entry" | tag | browser | day | user | stored password)

The stored password (its Argon2id string) is part of the MAC, so that a reset or a change of the password ends every entry.
"""

import base64
import binascii
import hmac
import secrets

from relay.base.clock import SECOND_NS

LASTS_DAYS = 180
MAX_PEOPLE = 16
"""Entries of a cookie; the oldest is dropped."""
_ENTRY = 44
_DAY_NS = 86_400 * SECOND_NS


class KnownBrowsers:
    """Makes and recognises the entries; `now_ns` is steady UTC."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def browser_of(self, cookie: str | None, user: str, stored: str, now_ns: int) -> str | None:
        """Return the name of the browser where this person signed in with it before, None where not; any text may come."""
        for entry in _entries(cookie):
            tag, browser, day, mac = entry[:6], entry[6:15], entry[15:18], entry[18:]
            if not hmac.compare_digest(tag, self._tag(user)):
                continue
            age = now_ns // _DAY_NS - int.from_bytes(day)
            if age <= LASTS_DAYS and hmac.compare_digest(mac, self._mac(entry[:18], user, stored)):
                return browser.hex()
        return None

    def remember(self, cookie: str | None, user: str, stored: str, now_ns: int) -> str:
        """Return the cookie with an entry for this person, the latest one."""
        others = [entry for entry in _entries(cookie) if not hmac.compare_digest(entry[:6], self._tag(user))]
        head = self._tag(user) + secrets.token_bytes(9) + (now_ns // _DAY_NS).to_bytes(3)
        entries = [head + self._mac(head, user, stored), *others]
        return ".".join(base64.urlsafe_b64encode(entry).decode() for entry in entries[:MAX_PEOPLE])

    def _tag(self, user: str) -> bytes:
        return hmac.digest(self._key, b"name\0" + user.encode(), "sha256")[:6]

    def _mac(self, head: bytes, user: str, stored: str) -> bytes:
        return hmac.digest(self._key, b"entry\0" + head + user.encode() + b"\0" + stored.encode(), "sha256")[:15]


def _entries(cookie: str | None) -> list[bytes]:
    """Return the entries of a cookie; what has another form is passed over."""
    found = []
    for text in (cookie or "")[: MAX_PEOPLE * (_ENTRY + 1)].split("."):
        if len(text) == _ENTRY and text.isascii():
            try:
                found.append(base64.b64decode(text, b"-_", validate=True))
            except binascii.Error:
                continue
    return [entry for entry in found if len(entry) == 33]
