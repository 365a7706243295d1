"""``inspector schema``: the JSON Schemas of the records, as shipped with the package."""

from __future__ import annotations

import json

from inspector.apps import console
from inspector.domain.errors import BadInputError
from inspector.domain.records import SCHEMA_IDS, json_schema


def show(name: str) -> None:
    """Print the JSON Schema of one record.

    Raises:
        BadInputError: there is no such record.
    """
    if name not in SCHEMA_IDS:
        raise BadInputError(f"a record's name ({', '.join(SCHEMA_IDS)})", repr(name), "see `inspector schema --list`")
    print(json.dumps(json_schema(name), indent=2))


def names(as_json: bool) -> None:
    """Print the records there are, with their schema ids."""
    if as_json:
        console.print_json(SCHEMA_IDS)
        return
    made = console.table("name", "schema")
    for name, schema_id in SCHEMA_IDS.items():
        made.add_row(name, schema_id)
    console.print_table(made)
