"""Types of the text fields in bodies of requests: every one states how it is checked.

Owns: the check of free text at the door.  Must never know: a resource.

    Annotated[str, FreeText(200)]    cleaned before a handler sees it; refused with 400 otherwise
    Annotated[str, Act(4000)]        checked by the act, which enters its refusal: motives, holds, extractions
    Annotated[str, Secret(1000)]     never cleaned, never shown: passwords
"""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from relay.policy.texts import clean_text


@dataclass(frozen=True, slots=True)
class FreeText:
    """A text that `clean_text` must accept; `max_bytes` of UTF-8."""

    max_bytes: int
    required: bool = True

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Clean after the type was checked; a refusal of `clean_text` reaches the caller as it is."""
        return core_schema.with_info_after_validator_function(self._clean, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Name the bound in OpenAPI; a text of ASCII may be that long."""
        return {**handler(schema), "maxLength": self.max_bytes}

    def _clean(self, text: str, info: core_schema.ValidationInfo) -> str:
        return clean_text(text, info.field_name or "text", max_bytes=self.max_bytes, required=self.required)


@dataclass(frozen=True, slots=True)
class _Bounded:
    max_length: int
    """Characters."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Bound the length only."""
        return core_schema.str_schema(max_length=self.max_length)


class Act(_Bounded):
    """A text that the act checks, and whose refusal it enters in the journal."""


class Secret(_Bounded):
    """A password."""
