"""`report.json` of a run that has everything against docs/report.md."""

import re
from pathlib import Path

from pipelines.config.inference import InferRoads
from pipelines.results.report import SCHEMA

DOCUMENT = Path(__file__).parents[4] / "docs" / "report.md"

OWN = {"settings", "files", "packages", "mean", "sd", "intervals", "measurements"}
"""What has keys that the report does not choose: options, files, packages, columns, measures."""


def tables():
    """The fields of docs/report.md and what is said of them, by heading: {field: text}."""
    found, heading = {}, ""
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("#"):
            heading = line.strip("# ").split(",")[0]
        elif line.startswith("| `"):
            _, fields, text, _ = line.split("|")
            for field in names(fields):
                assert field not in found.setdefault(heading, {}), f"{field} stands there twice"
                found[heading][field] = text
    return found


def names(text):
    """What stands in backticks and may be a key."""
    return set(re.findall(r"`([a-z0-9_]+)`", text))


def is_scores(value):
    return isinstance(value, dict) and "foreground" in value and "topology" in value


def keys_in(value, scores):
    """All keys in a part of a report, but for those of scores, which are put aside."""
    if isinstance(value, list):
        return {key for inner in value for key in keys_in(inner, scores)}
    if not isinstance(value, dict):
        return set()
    if is_scores(value):
        groups = {group for group in value if group in tables()["Scores"]}
        scores.append({group: value[group] for group in groups})
        value = {key: inner for key, inner in value.items() if key not in groups}
    found = set(value)
    for key, inner in value.items():
        if key not in OWN:
            found |= keys_in(inner, scores)
    return found


def keys_of_group(group, value):
    if group == "classes":
        return {key for scores in value.values() for key in scores}
    if group == "at_threshold":
        return set(value) - set(names(tables()["Scores"]["foreground"]))
    return keys_in(value, [])


def test_every_field_of_the_json_is_documented_and_every_documented_one_is_there(report):
    fields, scores = tables()["report.json"], []
    assert set(report) == set(fields)
    for field, text in fields.items():
        keys = keys_in({} if field in OWN else report[field], scores)
        assert keys <= names(text), field
        assert names(text) <= keys | set(fields), field
    assert len(scores) == 1 + 1 + 3 + 3 + 4  # Pooled, of the second observer, steps, scenes.


def test_every_score_is_documented_and_every_documented_one_is_there(report):
    fields = tables()["Scores"]
    labelled = [scene for scene in report["scenes"] if scene["label"] is not None]
    every = [report["pooled"], *labelled, *(step["pooled"] for step in report["steps"])]
    for scores in (
        *every,
        report["second_observer"]["pooled"],
        *report["second_observer"]["scenes"],
    ):
        assert set(fields) <= set(scores)
        assert set(scores) - set(fields) <= set(report["scenes"][0])
        for group, text in fields.items():
            keys = keys_of_group(group, scores[group])
            assert keys <= names(text), group
            assert names(text) <= keys | set(fields), group
        # "The same."
        assert set(scores["at_threshold"]) == {*scores["foreground"], "threshold"}


def test_the_schema_is_the_documented_one(report):
    assert report["schema"] == SCHEMA
    [headed] = re.findall(r"^## report\.json, schema (\d+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert int(headed) == SCHEMA
    assert tables()["report.json"]["schema"].strip() == str(SCHEMA)


def test_settings_are_every_option_of_the_run(report, config):
    assert report["settings"] == config.model_dump(mode="json")
    assert set(report["settings"]) == set(InferRoads.model_fields)
