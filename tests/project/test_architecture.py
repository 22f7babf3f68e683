"""Arrows between packages point one way; docs/ARCHITECTURE.md says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vqa_cli

# Packages below ``vqa_cli`` that each may import, besides itself and the modules at the top.
MAY_IMPORT: dict[str, set[str]] = {
    "media": set(),
    "store": set(),
    "model": set(),
    "measure": {"media", "store", "model"},
    "ladder": {"media", "store", "measure"},
    "analysis": set(),
    "history": {"analysis"},
    "report": {"analysis", "history"},
    "train": {"media", "model", "measure"},
    "cluster": {"media", "store", "model", "measure", "ladder"},
    "api": {"media", "model", "measure", "ladder", "analysis", "report"},
    "cli": {"media", "store", "model", "measure", "ladder", "cluster", "analysis", "history", "report", "train"},
}
# Libraries that belong to some packages alone.
ONLY = {
    "torch": {"model", "train", "cli"},
    "click": {"cli"},
    "tqdm": {"cli", "api"},
    "jinja2": {"report"},
    "altair": {"report"},
    "subprocess": {"media"},
    "ray": {"cluster"},
}
TOP = Path(vqa_cli.__file__).parent


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(package: str) -> list[Path]:
    return sorted((TOP / package).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_point_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    forbidden = {f"vqa_cli.{name}" for name in MAY_IMPORT if name not in allowed}
    found = {(path.name, name) for path in modules(package) for name in imported(path)}
    assert not {(file, name) for file, name in found if ".".join(name.split(".")[:2]) in forbidden}


@pytest.mark.parametrize("library", ONLY)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    elsewhere = [path for package in MAY_IMPORT if package not in ONLY[library] for path in modules(package)]
    users = {path.relative_to(TOP).as_posix() for path in (*elsewhere, *TOP.glob("*.py")) if uses(path, library)}
    assert users == set()


def uses(path: Path, library: str) -> bool:
    return any(name.split(".")[0] == library for name in imported(path))


def test_one_module_starts_programs() -> None:
    assert [path.name for path in modules("media") if uses(path, "subprocess")] == ["process.py"]


def test_nothing_imports_how_the_bundled_model_was_made() -> None:
    assert not [path for path in TOP.rglob("*.py") if uses(path, "training")]
