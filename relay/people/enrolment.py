"""Cameras: enrol, change, revoke, recognise by token (REC-03).

Owns: the enrolled cameras and their tokens.  Must never know: publish sessions (they subscribe to `on_revoked`), HTTP.

API: `await enrol(actor, ...) -> token`, `await change(actor, camera, **changes)`, `await revoke(actor, camera)`,
`await reissue(actor, camera) -> token`, `await list(person)`, `await camera(name) -> Camera`,
`await recognise(token, camera) -> Camera` (WHIP), `await camera_of(token) -> Camera` (/live/camera);
`on_revoked.append(callback(camera))`: the callback stops the camera's publishing within a second.
"""

from collections.abc import Callable, Iterable
from typing import Any

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.base.ids import is_slug, new_token, token_digest
from relay.people.authorize import Authorizer
from relay.policy.access import Facts, in_scope
from relay.policy.regimes import check_live_audio, rules_of
from relay.policy.roles import Action, Person
from relay.policy.texts import clean_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_to_completion
from relay.store.accounts import Accounts, Camera
from relay.store.journal import Entry, Journal, Operation

ORIGINALS = ("relay", "camera")
MAX_LABEL_BYTES = 160
"""Bytes of a camera's label: a signed start holds 200."""


class Enrolment:
    """All enrolled cameras."""

    def __init__(
        self,
        accounts: Accounts,
        journal: Journal,
        authorizer: Authorizer,
        clock: Clock,
        *,
        service: str,
        communes: Iterable[str] = (),
        max_cameras: int | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`deadline`: how long a request waits for the disk."""
        self._deadline = deadline
        self._accounts = accounts
        self._accounts_in_time = accounts.within(deadline)
        self._journal = journal
        self._clock = clock
        self._authorizer = authorizer
        self._service = service
        self._communes = frozenset(communes)
        self._max_cameras = max_cameras
        self.on_revoked: list[Callable[[str], None]] = []

    async def enrol(
        self,
        actor: Person,
        camera: str,
        label: str,
        regime: str,
        *,
        original: str = "relay",
        live_audio: bool = False,
        commune: str = "",
    ) -> str:
        """Enrol a camera; return its token, which is shown once and stored as SHA-256.

        Raises TheirError INVALID (name, regime, sound), FORBIDDEN (commune), CONFLICT (name, `max_cameras`).
        """
        facts = Facts(regime=regime, service=self._service, commune=commune)
        await self._authorizer.require(actor, Action.MANAGE_CAMERAS, facts, object_type="camera", object_id=camera)
        if not is_slug(camera):
            raise TheirError(Kind.INVALID, "a camera is 1 to 40 of a-z 0-9 and inner hyphens", code=Code.CAMERA_NAME_INVALID)
        rules_of(regime)
        check_live_audio(regime, live_audio)
        _check_original(original)
        self._check_commune(commune)
        now_ns = self._clock.utc_ns()
        made = Camera(
            camera,
            clean_text(label, "label", max_bytes=MAX_LABEL_BYTES),
            regime,
            self._service,
            commune,
            original,
            live_audio,
            now_ns,
            None,
        )
        token = new_token()
        await self._enter(actor, camera, event="camera enrolled", regime=regime, original=original, live_audio=live_audio)
        await self._accounts_in_time.add_camera(made, token_digest(token), self._max_cameras)
        return token

    async def change(self, actor: Person, camera: str, **changes: Any) -> Camera:
        """Change `label`, `live_audio`, `commune` or `original`; the regime never changes after enrolment."""
        found = await self._require(actor, camera)
        unknown = changes.keys() - {"label", "live_audio", "commune", "original"}
        if unknown or not changes:
            raise TheirError(
                Kind.INVALID,
                f"cannot change {', '.join(sorted(unknown)) or 'nothing'}",
                code=Code.FIELD_FIXED,
                facts={"field": ", ".join(sorted(unknown))},
            )
        check_live_audio(found.regime, bool(changes.get("live_audio", False)))
        _check_original(changes.get("original", found.original))
        self._check_commune(changes.get("commune", found.commune))
        if "label" in changes:
            changes["label"] = clean_text(changes["label"], "label", max_bytes=MAX_LABEL_BYTES)
        await self._enter(actor, camera, event="camera changed", **changes)
        await self._accounts_in_time.update_camera(camera, changes)
        return await self.camera(camera)

    async def revoke(self, actor: Person, camera: str) -> None:
        """Revoke a camera's token for good (SEC-02); `on_revoked` listeners stop its publishing."""
        await self._require(actor, camera)
        await self._enter(actor, camera, event="camera revoked")
        await run_to_completion(self._invalidate_token(camera, {"revoked_ns": self._clock.utc_ns()}), self._deadline)

    async def reissue(self, actor: Person, camera: str) -> str:
        """Replace a camera's token (lost, or shown to the wrong person); the old token is refused at once."""
        found = await self._require(actor, camera)
        if found.revoked_ns is not None:
            raise TheirError(Kind.GONE, f"camera {camera} is revoked", code=Code.CAMERA_REVOKED)
        token = new_token()
        await self._enter(actor, camera, event="camera token reissued")
        await run_to_completion(self._invalidate_token(camera, {"token_digest": token_digest(token)}), self._deadline)
        return token

    async def camera(self, camera: str) -> Camera:
        """Return a camera, revoked or not; TheirError(NOT_FOUND)."""
        return _found(camera, await self._accounts_in_time.camera(camera))

    async def authorized(self, person: Person, action: Action, camera: str, facts: Facts | None = None) -> Camera:
        """Return a camera on which the person may act; `facts`: what is known besides its scope.

        Raises TheirError as policy says (journalled), and NOT_FOUND only to a person who might act if it existed.
        """
        found = await self._accounts_in_time.camera(camera)
        facts = facts or Facts()
        if found is not None:
            facts = facts.of(found)
        await self._authorizer.require(person, action, facts, object_type="camera", object_id=camera[:40])
        return _found(camera, found)

    async def _require(self, actor: Person, camera: str) -> Camera:
        return await self.authorized(actor, Action.MANAGE_CAMERAS, camera)

    async def list(self, person: Person) -> "list[Camera]":
        """Return enrolled cameras in the person's scope (VID-03); revoked ones only for administrators."""
        await self._authorizer.require(person, Action.LIST_CAMERAS)
        found = await self._accounts_in_time.list_cameras()
        if person.role.value == "administrator":
            return found
        return [camera for camera in found if camera.revoked_ns is None and in_scope(person, camera)]

    async def recognise(self, token: str, camera: str) -> Camera:
        """Return the camera to which a publisher's token belongs.

        Raises TheirError UNAUTHENTICATED (unknown or revoked token), FORBIDDEN (the token is another camera's): REC-03.
        The caller counts anonymous refusals; a known camera that uses another's address is journalled here.
        """
        found = await self.camera_of(token)
        if found.camera != camera:
            await self._journal.refuse(
                found.camera,
                "camera",
                "publish",
                "forbidden",
                "token of another camera",
                requirement="REC-03",
                object_type="camera",
                object_id=camera[:40],
                deadline=self._deadline,
            )
            raise TheirError(
                Kind.FORBIDDEN,
                "this token belongs to another camera (REC-03)",
                code=Code.CAMERA_TOKEN_OF_OTHER,
                facts={"rule": "REC-03"},
            )
        return found

    async def enrolled(self) -> tuple[Camera, ...]:
        """Return every camera, revoked or not, for the relay's own work: without policy, without deadline."""
        return tuple(await self._accounts.list_cameras())

    async def camera_of(self, token: str) -> Camera:
        """Return the camera of a token, where the address names no camera.  Raises TheirError(UNAUTHENTICATED)."""
        found = await self._accounts_in_time.camera_of_token(token_digest(token))
        if found is None or found.revoked_ns is not None:
            raise TheirError(
                Kind.UNAUTHENTICATED,
                "this camera token is not valid (REC-03)",
                code=Code.CAMERA_TOKEN_INVALID,
                facts={"rule": "REC-03"},
            )
        return found

    def _check_commune(self, commune: str) -> None:
        if self._communes and commune not in self._communes:
            raise TheirError(
                Kind.FORBIDDEN,
                f"commune {commune!r} is not in the authorisation (REC-03, R241-8)",
                code=Code.COMMUNE_NOT_AUTHORISED,
                facts={"commune": commune, "rule": "REC-03, R241-8"},
            )

    async def _invalidate_token(self, camera: str, values: dict[str, Any]) -> None:
        """Change the row so that the token known so far is refused, and notify the listeners."""
        await self._accounts.update_camera(camera, values)
        self._notify_revoked(camera)

    def _notify_revoked(self, camera: str) -> None:
        for callback in self.on_revoked:
            callback(camera)

    async def _enter(self, actor: Person, camera: str, **details: str | bool) -> None:
        await self._journal.append(
            Entry(
                Operation.CONFIGURATION, actor.user, actor.role.value, object_type="camera", object_id=camera, details=details
            ),
            deadline=self._deadline,
        )


def _found(camera: str, found: Camera | None) -> Camera:
    if found is None:
        raise TheirError(Kind.NOT_FOUND, f"no camera {camera}", code=Code.CAMERA_NOT_FOUND, facts={"camera": camera})
    return found


def _check_original(original: str) -> None:
    if original not in ORIGINALS:
        raise TheirError(Kind.INVALID, "original must be relay or camera (DEC-1)", code=Code.ORIGINAL_INVALID)
