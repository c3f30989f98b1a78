"""The JSON Schema of matrix.yaml, for editors: harness/matrix/matrix.schema.json, written by `write_schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from harness.matrix.model import Matrix

SCHEMA_FILE = Path(__file__).with_name("matrix.schema.json")


class _Generator(GenerateJsonSchema):
    """Leaves out the titles that repeat the names of the keys, and closes mappings whose keys have a pattern."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's signature
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        if "patternProperties" in described:
            described["additionalProperties"] = False
        return described


def json_schema() -> dict[str, Any]:
    """Return the schema of what may be written, units included."""
    schema = Matrix.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, **schema, "title": "matrix.yaml of Overhead Matrix"}


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the schema, formatted for reading."""
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
