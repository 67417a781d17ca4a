"""The table of flows."""

import ast
from pathlib import Path

import pytest
import yaml

from flows.table import FLOWS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_flow_has_a_help_of_one_line_and_runs_with_its_defaults(flow):
    assert flow.help.endswith(".")
    assert "\n" not in flow.help
    assert flow.config()().output  # Every option has a default.


def test_every_flow_is_a_prefect_flow_that_a_worker_finds_by_its_name():
    from flows.service import deployments

    assert list(deployments.PREFECT_FLOWS) == list(FLOWS)
    for deployment in deployments.deployments():
        module, attribute = deployment.entrypoint.rsplit(".", 1)
        assert module == deployments.__name__
        assert getattr(deployments, attribute) is deployments.PREFECT_FLOWS[deployment.name]


def test_the_names_of_flows_are_written_in_the_table_only():
    # Beside it, only a flow's own module and the demo name one.
    for path in (ROOT / "flows").rglob("*.py"):
        named = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and node.value in FLOWS
        }
        assert len(named) <= 1 or path.name == "table.py", path


def test_prefect_yaml_deploys_every_flow_under_its_name():
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert [each["name"] for each in file["deployments"]] == list(FLOWS)
    for each in file["deployments"]:
        module, _, attribute = each["entrypoint"].rpartition(".")
        assert module == "flows.service.deployments"
        assert attribute == each["name"].replace("-", "_")
