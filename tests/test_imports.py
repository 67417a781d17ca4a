"""What may import what: packages point down only, and workers start fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = (
    {"rurnet", "tiling"},
    {"pipelines.errors", "pipelines.config"},
    {"pipelines.inputs", "pipelines.models", "pipelines.runtime"},
    {"pipelines.backends"},
    {"pipelines.sampling", "pipelines.scores"},
    {"pipelines.measurements"},
    {"pipelines.datasets", "pipelines.results"},
    {"pipelines.inbox"},
    {"pipelines.report"},
    {"pipelines.catalogue", "pipelines.evaluation", "pipelines.labelling"},
    {"pipelines.dicom", "pipelines.lines"},
    {"pipelines.inference"},
    {"pipelines.export", "pipelines.training"},
    {"pipelines.protocols"},
    {"flows"},
)
"""The packages, lowest first: each imports from the floors below its own and from itself."""

MOST_LINES = 400
MOST_MODULES = 14

HEAVY = {
    "pydicom",
    "highdicom",
    "prefect",
    "dask",
    "distributed",
    "lightning",
    "monai",
    "matplotlib",
}


FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in ("rurnet", "tiling", "pipelines", "flows")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def room_of(module):
    """The package that a module belongs to: a top-level one, or one of those in pipelines."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "pipelines" and len(parts) > 1 else parts[0]


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


def own_imports(module):
    """The modules of ours that a module imports, at its top or later."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & set(MODULES) or {str(node.module)}
    return names & set(MODULES) - {module}


def test_every_package_has_its_floor():
    assert {room_of(module) for module in MODULES} - {"pipelines"} == set(FLOOR)


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_a_package_imports_only_from_the_floors_below(room):
    modules = [module for module in MODULES if room_of(module) == room]
    assert modules
    for module in modules:
        for other in map(room_of, own_imports(module)):
            assert other == room or FLOOR[other] < FLOOR[room], f"{module} imports {other}"


def test_no_module_imports_itself_by_way_of_others():
    done, under_way = set(), []

    def visit(module):
        if module in under_way:
            cycle = [*under_way[under_way.index(module) :], module]
            pytest.fail(f"imports go round: {' -> '.join(cycle)}")
        if module not in done:
            under_way.append(module)
            for other in sorted(own_imports(module)):
                visit(other)
            done.add(under_way.pop())

    for module in MODULES:
        visit(module)


def test_a_module_fits_in_a_head_and_a_package_on_a_screen():
    for path in (*MODULES.values(), *(ROOT / "tests").rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MOST_LINES, f"{path.relative_to(ROOT)}: {lines} lines"
    for folder in {path.parent for path in MODULES.values()} - {ROOT / "rurnet", ROOT / "tiling"}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MOST_MODULES, f"{folder}: {len(modules)} modules"


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
            "pydicom",
            "pyogrio",
            "shapely",
        }


def test_the_command_line_knows_nothing_of_prefects_side():
    parts = [module for module in MODULES if module.startswith("flows.cli")]
    assert parts
    for part in parts:
        assert not any(other.startswith("flows.service") for other in own_imports(part)), part


def modules_after(statement):
    program = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(result.stdout.split())


def every_module_of(package):
    names = [name for name in MODULES if name.split(".")[0] == package]
    return "import " + ", ".join(name for name in names if not name.endswith("__main__"))


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import pipelines.inference.scene", HEAVY | {"torch"}),
        # Torch is loaded where it computes: OpenVINO is not to share a process with it.
        ("import pipelines.inference.job", HEAVY | {"shapely", "pyogrio", "skimage", "torch"}),
        # A dry run answers before these were loaded.
        ("import pipelines.inference.planning.dry_run, flows.cli.estimated", HEAVY | {"torch"}),
        # What a Dask worker is sent: inputs, and functions of this module.
        (
            "import pipelines.inputs.discovery, pipelines.inference.workers",
            HEAVY | {"skimage", "torch"},
        ),
        (every_module_of("rurnet"), HEAVY | {"rasterio", "tifffile"}),
        (every_module_of("tiling"), HEAVY | {"torch"}),
        # So that a list of commands is there at once, and the options of a flow soon.
        ("import flows.__main__", HEAVY | {"cyclopts", "pydantic", "rich", "pipelines", "torch"}),
        ("import flows.command", HEAVY | {"torch", "rasterio"}),
        # A run sets its environment before it loads torch.
        ("import flows.service.deployments", HEAVY - {"prefect"} | {"torch", "rasterio"}),
    ],
    ids=[
        "pipelines.inference.scene", "pipelines.inference.job", "dry run",
        "pipelines.inference.workers", "rurnet", "tiling", "flows", "flows.command",
        "flows.service.deployments",
    ],
)  # fmt: skip
def test_a_process_starts_without_what_it_does_not_need(statement, absent):
    modules = modules_after(statement)
    assert statement.split()[1].split(".")[0].strip(",") in modules
    assert not modules & absent
