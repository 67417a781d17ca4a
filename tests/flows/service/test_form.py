"""The form of a flow's parameters."""

import pytest
from jsonschema import Draft202012Validator

from flows.service.form import form_of
from flows.table import FLOWS


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_every_field_has_a_title_and_a_description_and_is_of_one_type(flow):
    form = form_of(flow.config())
    assert set(form["properties"]) == set(flow.config().model_fields)
    for name, field in form["properties"].items():
        assert field["description"], name
        assert field["title"][0].isupper(), name
        assert "null" not in str(field), name
    positions = [field["position"] for field in form["properties"].values()]
    assert positions == list(range(len(positions)))


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_the_defaults_of_a_flow_can_be_sent_as_they_are(flow):
    form = form_of(flow.config())
    Draft202012Validator.check_schema(form)
    defaults = flow.config()().model_dump(mode="json", exclude_none=True)
    assert list(Draft202012Validator(form).iter_errors(defaults)) == []


def test_what_people_set_comes_first_and_what_cannot_be_is_refused():
    form = form_of(FLOWS["infer-roads"].config())
    assert list(form["properties"])[:5] == ["scenes", "labels", "output", "model", "steps"]
    assert form["properties"]["dtype"]["enum"] == ["uint8", "float32"]
    assert form["properties"]["tile"]["title"] == "Tile (advanced)"
    for wrong in ({"steps": 0}, {"dtype": "uint16"}, {"bands": "0,1"}, {"scenes": []}):
        assert not Draft202012Validator(form).is_valid(wrong), wrong
