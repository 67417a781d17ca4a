"""What the documentation says exists, exists."""

import re
from pathlib import Path

import pytest

from flows.__main__ import TOOLS
from flows.table import FLOWS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_that_are_run_exist(page):
    for module in re.findall(r"python -m ([\w.]+)", page.read_text()):
        if (
            module.split(".")[0] in ("flows", "benchmarks", "pipelines", "rurnet")
            and "NAME" not in module
        ):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_deployments_that_are_named_exist(page):
    # Of what is typed: between backticks, or indented.
    typed = r"(?:^ {4}|`)(?:rurnet|prefect deployment run) ([a-z][a-z-]*)"
    for name in re.findall(typed, page.read_text(), re.MULTILINE):
        assert name in FLOWS | TOOLS, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_are_named_exist(page):
    from flows.cli.benchmark import benchmark
    from flows.cli.catalogue import catalogue
    from flows.cli.signature import option_of
    from flows.operations.deploy import deploy
    from flows.operations.fit_steps import fit_steps
    from flows.operations.label_queue import label_queue
    from flows.operations.notify import notify
    from flows.operations.slurm_workers import slurm_workers
    from flows.operations.status import status
    from flows.operations.watch import watch
    from flows.serve import serve

    fields = {
        option_of(field).removeprefix("--")
        for flow in FLOWS.values()
        for field in flow.config().model_fields
    }
    fields |= {name.removeprefix("--") for name in TOOLS}
    tools = (
        benchmark, catalogue, serve, status, watch, deploy, notify, slurm_workers, fit_steps,
        label_queue,
    )  # fmt: skip
    fields |= {name.replace("_", "-") for tool in tools for name in tool.__annotations__}
    fields |= {"help"}
    # What prefect, tensorboard, dask, torchrun, rio, MONAI, Slurm, Docker, `rurnet figures` and our
    # benchmarks take.
    others = {
        "watch", "cron", "logdir", "nthreads", "nproc-per-node", "rounds", "free", "measure",
        "crop", "seeds", "batches", "scales", "split", "images", "weights", "nodata",
        "unset-nodata", "not-masked", "dtype", "type", "pool", "prompt", "all", "beside", "weight",
        "bundle_root", "config_file", "dataset_dir", "output_dir", "cpus-per-task", "mem", "gres",
        "name", "memory-limit", "file", "tag", "detach", "host", "nworkers", "edges", "pairs",
        "models", "picture", "check", "changes", "mosaic", "runs", "angles", "photographs", "share",
        "least", "most", "processes", "backends", "tried", "starts",
    }  # fmt: skip
    for option in re.findall(r"(?<![\w-])--([a-z][a-z0-9_-]+)", page.read_text()):
        assert option.removeprefix("no-") in fields | others, option
