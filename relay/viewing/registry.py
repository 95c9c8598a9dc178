"""Which viewer sessions are open, and which live view is in which of their slots.

Owns: viewer sessions by secret, live views by id, and who is notified when the number of a camera's views
changes.  Must never know: policy, the journal, workers.
"""

from collections.abc import Callable
from typing import NamedTuple

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.viewing.sessions import LiveView, ViewerSession, belongs_to

MAX_LEFT = 1024
"""Viewer sessions that are over and are remembered for a DELETE that comes after it."""


class Shown(NamedTuple):
    """A live view and the viewer session whose slot shows it."""

    viewer_session: ViewerSession
    view: LiveView

    @property
    def in_slot(self) -> bool:
        """Whether the slot still shows this view, and not another one or none."""
        return self.viewer_session.views.get(self.view.slot) is self.view


class ViewerRegistry:
    """All viewer sessions and live views."""

    def __init__(self) -> None:
        self._sessions: dict[str, ViewerSession] = {}
        self._left: dict[str, None] = {}
        self._views: dict[str, Shown] = {}
        self.on_watched: list[Callable[[str, int], None]] = []
        """Notified with camera and number of open views, at each change."""

    # --- viewer sessions ----------------------------------------------------------------------------------------------

    def all(self) -> tuple[ViewerSession, ...]:
        """Return every viewer session."""
        return tuple(self._sessions.values())

    def on_worker(self, index: int) -> tuple[ViewerSession, ...]:
        """Return the viewer sessions of one worker."""
        return tuple(found for found in self._sessions.values() if found.worker == index)

    def of_user(self, user: str) -> int:
        """Return how many viewer sessions a person has."""
        return sum(found.user == user for found in self._sessions.values())

    def get(self, secret: str) -> ViewerSession | None:
        """Return a viewer session by its secret."""
        return self._sessions.get(secret)

    def require(self, secret: str, user: str | None = None) -> ViewerSession:
        """Return a viewer session, of this person where one is named; raises TheirError(NOT_FOUND)."""
        found = self._sessions.get(secret)
        if found is None or (user is not None and not belongs_to(secret, user)):
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        if user is not None:
            found.user = user
        return found

    def is_current(self, viewer_session: ViewerSession) -> bool:
        """Return whether a viewer session is still open."""
        return self._sessions.get(viewer_session.secret) is viewer_session

    def add(self, viewer_session: ViewerSession) -> None:
        """Add a viewer session."""
        self._sessions[viewer_session.secret] = viewer_session

    def remove(self, viewer_session: ViewerSession) -> None:
        """Remove a viewer session, if it is there; its views stay until `remove_view`."""
        if self._sessions.pop(viewer_session.secret, None) is not None:
            self._left[viewer_session.secret] = None
            if len(self._left) > MAX_LEFT:
                del self._left[next(iter(self._left))]

    def take_left(self, secret: str, user: str | None = None) -> bool:
        """Return once whether a viewer session of this secret, and of this person where one is named, is over."""
        found = secret in self._left and (user is None or belongs_to(secret, user))
        if found:
            del self._left[secret]
        return found

    # --- live views ---------------------------------------------------------------------------------------------------

    def shown(self) -> tuple[Shown, ...]:
        """Return every live view with its viewer session."""
        return tuple(self._views.values())

    def views(self) -> tuple[str, ...]:
        """Return the ids of the live views."""
        return tuple(self._views)

    def find(self, view: str) -> Shown | None:
        """Return a live view and its viewer session."""
        return self._views.get(view)

    def views_in(self, viewer_session: ViewerSession) -> tuple[str, ...]:
        """Return the ids of the live views of a viewer session."""
        return tuple(view for view, found in self._views.items() if found.viewer_session is viewer_session)

    def views_of(self, camera: str) -> int:
        """Return how many live views a camera has."""
        return sum(found.view.camera == camera for found in self._views.values())

    def add_view(self, viewer_session: ViewerSession, view: LiveView) -> None:
        """Put a live view into its slot."""
        viewer_session.views[view.slot] = view
        self._views[view.view] = Shown(viewer_session, view)

    def remove_view(self, view: str) -> LiveView | None:
        """Remove a live view and notify; returns None where it is gone already."""
        found = self._views.pop(view, None)
        if found is None:
            return None
        if found.in_slot:
            del found.viewer_session.views[found.view.slot]
        self.notify_watched(found.view.camera)
        return found.view

    def notify_watched(self, camera: str) -> None:
        """Notify of the number of a camera's live views."""
        for listener in self.on_watched:
            listener(camera, self.views_of(camera))
