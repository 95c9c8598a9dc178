"""The relay, the people and the browser of the end-to-end tests."""

from tests.e2e.conftest import browser, footage, installed, scene

__all__ = ["browser", "footage", "installed", "scene"]
