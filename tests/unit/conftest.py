"""Fixtures that the unit tests of several packages share."""

from tests.support.services import house

__all__ = ["house"]
