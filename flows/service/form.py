"""The form that Prefect's page shows for the parameters of a flow: its fields and their order."""

from typing import Any

from pydantic import BaseModel

_FIRST = (
    "scenes", "predictions", "data", "images", "labels", "output", "model", "steps", "budget",
    "deadline", "from_run", "overwrite", "dry_run", "max_time", "iterations", "aoi", "bands", "gsd",
    "threshold", "device",
)  # fmt: skip
"""What people set, in the order in which they think of it; the others come after."""

_ADVANCED = " (advanced)"

_SPELT = {
    "from_run": "From (earlier results)",
    "gsd": "GSD",
    "aoi": "AOI",
    "tta": "TTA",
    "dtype": "Data type",
    "apls": "APLS",
}


def form_of(config: type[BaseModel]) -> dict[str, Any]:
    """Returns the JSON schema of a configuration's fields as Prefect's page wants it.

    An option that may be None is a field that may be left empty: Prefect would show a menu of two
    types instead, with "None" chosen. What fields have to do with each other is not in it: the
    run says that.
    """
    schema = config.model_json_schema()
    properties = schema["properties"]
    ordered = [name for name in _FIRST if name in properties]
    ordered += [name for name in properties if name not in ordered]
    return {
        "type": "object",
        "title": "Parameters",
        "properties": {
            name: _field(name, position, properties[name]) for position, name in enumerate(ordered)
        },
        "required": [],
        "definitions": schema.get("$defs", {}),
    }


def _field(name: str, position: int, told: dict[str, Any]) -> dict[str, Any]:
    field = {key: value for key, value in told.items() if key not in ("anyOf", "title", "default")}
    kinds = [each for each in told.get("anyOf", []) if each.get("type") != "null"]
    if len(kinds) == 1:
        field |= kinds[0]
    elif kinds:
        field["anyOf"] = kinds
    if told.get("default") is not None:
        field["default"] = told["default"]
    title = _SPELT.get(name, name.replace("_", " ").capitalize())
    return {
        "title": title if name in _FIRST else title + _ADVANCED,
        "position": position,
        **field,
    }
