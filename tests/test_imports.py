"""Imports run downwards only, and importing the library is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STOREYS = [
    {"observation", "schedules", "spacing", "clock", "model_facts"},
    {"stimuli"},
    {"measure"},
    {"choice"},
    {"observe", "record"},
    {"watch", "forecast", "plan"},
    {"monitor"},
    {"replay", "review"},
    {"publish"},
    {"callbacks"},
    {"train", "configs"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. A part may use those below it and itself, not its neighbours."""
HEIGHT = {part: height for height, storey in enumerate(STOREYS) for part in storey}
EXPORTED = HEIGHT["train"]
"""The names that `observatory` itself exports are for its users, and for the roof."""
HEAVY = ("lightning", "wandb", "h5py", "h5netcdf", "ray", "matplotlib")


def modules() -> dict[str, Path]:
    """Every module of the library by its name."""
    homes = {"observatory": "observatory", "callbacks": "observatory.callbacks", "train": "observatory.train"}
    found = {}
    for folder, package in homes.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(part.is_symlink() for part in path.parents):
                inner = path.relative_to(ROOT / folder).with_suffix("").parts
                found[".".join([package, *(part for part in inner if part != "__init__")])] = path
    return found


class Imports(ast.NodeVisitor):
    """The modules of the library that a source imports when it runs; what only a type checker reads is left out."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [name.name for name in node.names if name.name.split(".")[0] == "observatory"]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        assert not node.level, f"relative import of {module or '.'} in line {node.lineno}"
        if module == "observatory":
            self.found += [f"observatory.{name.name}" for name in node.names]
        elif module.startswith("observatory."):
            self.found.append(module)


def upward(name: str, source: str) -> Iterator[str]:
    """Imports of a module that lead up or across."""
    here = name.split(".")[1]
    visitor = Imports()
    visitor.visit(ast.parse(source))
    for wanted in visitor.found:
        there = wanted.split(".")[1] if "." in wanted else ""
        if there != here and HEIGHT.get(there, EXPORTED) >= HEIGHT[here]:
            yield f"{name} imports {wanted}"


def test_every_part_of_the_library_has_its_storey() -> None:
    parts = {name.split(".")[1] for name in modules() if "." in name}
    assert {"measure", "stimuli", "record", "callbacks", "train", "observe"} <= parts
    assert parts <= set(HEIGHT)


def test_imports_run_downwards_only() -> None:
    found = [line for name, path in modules().items() if "." in name for line in upward(name, path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("observatory.measure.x", "from observatory.record.logbook import Logbook", True),
        ("observatory.measure.x", "def f():\n    import observatory.callbacks", True),
        ("observatory.stimuli.x", "from observatory.measure import anatomy", True),
        ("observatory.stimuli.x", "from observatory import observe", True),
        ("observatory.record.x", "from observatory.observe import Observatory", True),  # a neighbour
        ("observatory.review.x", "try:\n    from observatory.replay import engine\nexcept ImportError: pass", True),
        ("observatory.callbacks.x", "from observatory.train import Mixture", True),
        ("observatory.train.x", "from observatory import Observatory", True),  # the roof's names are for users
        ("observatory.measure.x", "from observatory.stimuli.battery import Battery", False),
        ("observatory.measure.x", "from observatory.measure.layout import Layout", False),
        ("observatory.observation", "if TYPE_CHECKING:\n    from observatory.measure.scene import Scene", False),
        ("observatory.cli", "def demo():\n    from observatory.train.demo import demo", False),
        ("observatory.measure.x", "import observatory_of_someone_else, torch", False),
    ],
)
def test_an_import_that_leads_up_is_found(name: str, source: str, wrong: bool) -> None:
    assert bool(list(upward(name, source))) == wrong


def loaded(statement: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after a statement."""
    probe = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split()) & set(HEAVY)


def test_importing_the_library_loads_nothing_heavy() -> None:
    assert loaded("import observatory") == set()


def test_measuring_loads_nothing_that_only_training_or_recording_needs() -> None:
    assert loaded("from observatory import Observatory, load_battery") == set()


@pytest.mark.parametrize("package", ["h5py", "wandb"])
def test_a_heavy_import_would_be_found(package: str) -> None:
    assert package in loaded(f"import observatory, {package}")


def test_the_heavy_packages_are_called_by_their_names() -> None:
    assert all(find_spec(package) for package in HEAVY if package != "ray")  # which is optional
