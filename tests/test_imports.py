"""What may import what: packages point down only, and workers start fast."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BELOW = {
    "rurnet": set(),
    "tiling": set(),
    "pipelines": {"rurnet", "tiling"},
    "flows": {"pipelines", "rurnet", "tiling"},
}

HEAVY = {"prefect", "dask", "distributed", "lightning", "monai", "matplotlib"}


def imported(path):
    """Top-level names of all modules that a file imports, at its top or later."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(str(node.module).split(".")[0])
    return names


@pytest.mark.parametrize("package", BELOW)
def test_packages_import_only_those_below(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        above = imported(path) & set(BELOW) - BELOW[package] - {package}
        assert not above, f"{path.relative_to(ROOT)} imports {above}"


def test_networks_import_torch_only():
    for path in (ROOT / "rurnet").rglob("*.py"):
        others = imported(path) - set(sys.stdlib_module_names) - {"rurnet", "torch"}
        assert not others, f"{path.relative_to(ROOT)} imports {others}"


def test_tiling_knows_no_network():
    for path in (ROOT / "tiling").rglob("*.py"):
        others = imported(path) - set(sys.stdlib_module_names)
        assert others <= {
            "tiling",
            "numpy",
            "rasterio",
            "tifffile",
            "zarr",
            "affine",
            "scipy",
            "PIL",
        }


def imported_modules(path, package):
    """Modules of a package that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == package)


def test_no_modules_of_flows_import_each_other():
    arrows = {}
    for path in (ROOT / "flows").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        arrows[name] = set(imported_modules(path, "flows"))
    # Raises an error that names the cycle, if there is one.
    assert list(TopologicalSorter(arrows).static_order())
    parts = [name for name in arrows if name.startswith("flows.cli")]
    for part in parts:
        assert not any(target.startswith("flows.service") for target in arrows[part]), part


def modules_after(statement):
    program = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(result.stdout.split())


def every_module_of(package):
    files = sorted((ROOT / package).glob("*.py"))
    names = [package if path.stem == "__init__" else f"{package}.{path.stem}" for path in files]
    return "import " + ", ".join(names)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import pipelines.predict", HEAVY),
        # What a Dask worker is sent: jobs, and functions of this module.
        ("import pipelines.jobs, pipelines.workers", HEAVY | {"skimage"}),
        (every_module_of("rurnet"), HEAVY | {"rasterio", "tifffile"}),
        (every_module_of("tiling"), HEAVY | {"torch"}),
        # So that a list of commands is there at once, and the options of a flow soon.
        ("import flows.__main__", HEAVY | {"cyclopts", "pydantic", "rich", "pipelines", "torch"}),
        ("import flows.command", HEAVY | {"torch", "rasterio"}),
        # A run sets its environment before it loads torch.
        ("import flows.service.deployments", HEAVY - {"prefect"} | {"torch", "rasterio"}),
    ],
    ids=[
        "pipelines.predict", "pipelines.workers", "rurnet", "tiling", "flows", "flows.command",
        "flows.service.deployments",
    ],
)  # fmt: skip
def test_a_process_starts_without_what_it_does_not_need(statement, absent):
    modules = modules_after(statement)
    assert statement.split()[1].split(".")[0].strip(",") in modules
    assert not modules & absent
