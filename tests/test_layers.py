"""Imports point down, and what must stay light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "lesion_dynamics"

LAYERS = (
    ("errors", "file_locks", "source_hash", "waiting_threads", "worker_process"),
    ("atomic_files", "input_files", "npy_bytes"),
    ("output_lock", "process_folder"),
    ("settings",),
    ("model_version", "imaging"),
    ("cohort", "combined_version"),
    ("phantom", "importers", "lesions", "longitudinal"),
    ("preprocessing",),
    ("segmenter", "records", "report", "quality"),
    ("synthesis",),
    ("workflows",),
    ("api", "commands"),
)
"""From the bottom up. A module imports from its own part and from lower layers only."""

LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def part_of(module: str) -> str | None:
    names = module.split(".")
    return names[1] if names[0] == "lesion_dynamics" and len(names) > 1 else None


def imported_parts(source: str) -> set[str]:
    parts: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules = [node.module]
            if node.module == "lesion_dynamics":
                modules = [f"lesion_dynamics.{alias.name}" for alias in node.names]
        else:
            continue
        parts |= {part for part in map(part_of, modules) if part in LEVEL}
    return parts


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert parts - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        own = "errors"
    upward = {
        part
        for part in imported_parts(path.read_text(encoding="utf-8"))
        if part != own and LEVEL[part] >= LEVEL[own]
    }
    assert not upward, f"{path.name} of {own} imports {upward}, which do not lie below it"


def top_level_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_only_the_segmenter_and_its_workers_import_torch() -> None:
    allowed = {
        "workflows/training_steps.py",
        "workflows/inference_worker.py",
        "workflows/repeatability/worker.py",
    }
    using = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if top_level_imports(path) & {"torch", "monai", "torchio", "pytorch_lightning"}
    }
    assert {name for name in using if not name.startswith(("segmenter/", "synthesis/"))} <= allowed


def test_only_records_imports_mlflow() -> None:
    using = [path for path in modules() if "mlflow" in top_level_imports(path)]
    assert {path.relative_to(PACKAGE).parts[0] for path in using} == {"records"}


@pytest.mark.parametrize(
    "module",
    [
        "lesion_dynamics.api",
        "lesion_dynamics.workflows.analysis",
        "lesion_dynamics.workflows.inference",
        "lesion_dynamics.workflows.training",
        "lesion_dynamics.records.registry",
    ],
)
def test_importing_a_workflow_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["train.py", "infer.py", "analyze.py", "search.py"])
def test_root_scripts_are_short_and_hold_no_logic(name: str) -> None:
    source = (ROOT / name).read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 30
    statements = [type(node).__name__ for node in ast.walk(ast.parse(source))]
    assert statements.count("FunctionDef") == 1
    assert not {"For", "While", "Try"} & set(statements)


def test_no_source_file_is_over_300_lines() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {name for name, count in lines.items() if count > 300}


def test_no_name_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [p for p in modules() if {p.stem, p.parent.name} & empty]
