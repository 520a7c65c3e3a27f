"""The library as its users get it: a checkout, a wheel, an editable install, an sdist, a clone without links."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

import observatory

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]
MOVED: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
NAMES = ("observatory", "observatory.callbacks", "observatory.train")

# Imports the names once for each tree, and prints where they came from. One process serves all trees, since what
# takes seconds are torch and lightning; of the library itself nothing is left over from the tree before.
PROBE = """
import importlib, json, os, sys
names, trees = json.loads(sys.argv[1])
found = {}
for form, tree in trees.items():
    sys.path.insert(0, tree)
    try:
        found[form] = {name: os.path.realpath(importlib.import_module(name).__file__) for name in names}
    except ImportError as error:
        found[form] = {"error": str(error)}
    sys.path.remove(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "observatory"]:
        del sys.modules[name]
print(json.dumps(found))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Runs a command offline and gives what it prints; when it fails, the test shows what it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def copy(target: Path) -> Path:
    """A checkout: the sources with their links, without what a build or a run leaves behind."""
    target.mkdir()
    for name in ("observatory", *MOVED.values()):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, target)
    shutil.copytree(ROOT / "tests", target / "tests", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return target


def build_wheel(tree: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "made", ".")
    run(*pip, cwd=tree)
    (wheel,) = (tree / "made").iterdir()
    return wheel


def contents(wheel: Path) -> dict[str, int]:
    """The checksum of every file of the library in a wheel, by its name there."""
    with zipfile.ZipFile(wheel) as archive:
        return {i.filename: i.CRC for i in archive.infolist() if ".dist-info/" not in i.filename}


def sources(tree: Path) -> Iterator[tuple[str, Path]]:
    """Every file of the library in a checkout, under the name that it has once installed."""
    for name, home in {"observatory": "observatory", **MOVED}.items():
        for folder, folders, files in os.walk(tree / home):  # does not follow the links
            folders[:] = [f for f in folders if f != "__pycache__"]
            for file in files:
                path = Path(folder, file)
                yield f"{name.replace('.', '/')}/{path.relative_to(tree / home).as_posix()}", path


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(tmp_path_factory.mktemp("packaging") / "checkout")


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return build_wheel(shutil.copytree(checkout, checkout.with_name("built"), symlinks=True))


class Imported(NamedTuple):
    """Where the names came from, by form of installation, and where they should have; the editable one's command."""

    found: dict[str, dict[str, str]]
    homes: dict[str, Path]
    command: Path


@pytest.fixture(scope="module")
def imported(checkout: Path, wheel: Path) -> Imported:
    unzipped = checkout.with_name("unzipped")
    shutil.unpack_archive(wheel, unzipped, format="zip")
    edited = shutil.copytree(checkout, checkout.with_name("edited"), symlinks=True)

    # The new environment sees the packages of this one through a .pth file, which hides how this one installed us.
    fresh = checkout.with_name("fresh")
    venv.create(fresh, symlinks=True)
    python = fresh / "bin" / "python"
    site = sysconfig.get_path("purelib", vars={"base": str(fresh)})
    Path(site, "outer.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    pip = (python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--ignore-installed")
    run(*pip, "--editable", edited, cwd=edited)

    empty = checkout.with_name("empty")
    empty.mkdir()
    trees = {"checkout": str(checkout), "wheel": str(unzipped), "editable": str(empty)}
    printed = run(python, "-c", PROBE, json.dumps([NAMES, trees]), cwd=empty)
    return Imported(
        found=json.loads(printed.splitlines()[-1]),
        homes={"checkout": checkout, "wheel": unzipped, "editable": edited},
        command=python.with_name("observatory"),
    )


@pytest.mark.parametrize("form", ["checkout", "wheel", "editable"])
def test_the_library_its_callbacks_and_its_training_import_from(form: str, imported: Imported) -> None:
    found = imported.found[form]
    assert tuple(found) == NAMES, found
    assert all(Path(file).is_relative_to(imported.homes[form].resolve()) for file in found.values()), found


def test_the_installed_command_starts(imported: Imported, tmp_path: Path) -> None:
    assert "demo" in run(imported.command, "--help", cwd=tmp_path)


def test_the_wheel_holds_every_file_of_the_library_and_nothing_else(checkout: Path, wheel: Path) -> None:
    expected = {name for name, path in sources(checkout) if not path.is_symlink()}
    assert set(contents(wheel)) == expected
    assert {"observatory/py.typed", "observatory/stimuli/data/language.json"} <= expected


def test_the_wheel_needs_what_the_project_declares_and_brings_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        said = {Path(n).name: archive.read(n).decode() for n in archive.namelist() if ".dist-info/" in n}
    assert "observatory = observatory.cli:main" in said["entry_points.txt"]
    assert "Requires-Python: >=3.11\n" in said["METADATA"]
    assert "License-Expression: Apache-2.0\n" in said["METADATA"]
    assert "LICENSE" in said


def test_a_clone_without_symbolic_links_builds_the_same_wheel(checkout: Path, wheel: Path) -> None:
    # With core.symlinks=false git writes a link as a small file that holds its target.
    clone = shutil.copytree(checkout, checkout.with_name("clone"), symlinks=True)
    for name in MOVED:
        link = clone / name.replace(".", "/")
        target = os.readlink(link)
        link.unlink()
        link.write_text(target)
    assert contents(build_wheel(clone)) == contents(wheel)


def test_the_source_distribution_builds_the_same_wheel_and_brings_the_tests(checkout: Path, wheel: Path) -> None:
    tree = shutil.copytree(checkout, checkout.with_name("distributed"), symlinks=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "made", cwd=tree)
    (built,) = (tree / "made").glob("*.whl")
    (source,) = (tree / "made").glob("*.tar.gz")
    assert contents(built) == contents(wheel)

    with tarfile.open(source) as archive:
        brought = {name.partition("/")[2] for name in archive.getnames()}
    tests = {f"tests/{path.name}" for path in (tree / "tests").iterdir()}
    assert {"Makefile", "constraints.txt", "LICENSE", *tests} <= brought


def test_every_package_of_the_tree_is_listed() -> None:
    folders = {name.rpartition("/")[0] for name, path in sources(ROOT) if path.suffix in {".py", ".json", ".yaml"}}
    assert set(PACKAGES) == {folder.replace("/", ".") for folder in folders}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_listed_package_has_an_init(package: str) -> None:
    # Without one it is a namespace package, which an editable install finds by another way than a wheel does.
    assert f"{package.replace('.', '/')}/__init__.py" in dict(sources(ROOT))


@pytest.mark.parametrize(("package", "home"), MOVED.items())
def test_a_committed_link_stands_where_each_moved_package_is_imported_from(package: str, home: str) -> None:
    link = ROOT / package.replace(".", "/")
    if link.is_file():
        pytest.skip("this clone was made without symbolic links")
    assert os.readlink(link) == f"../{home}"


def test_a_type_checker_finds_the_moved_packages_in_a_checkout(checkout: Path) -> None:
    # --follow-imports=skip: whether they are found is asked here; `make lint` checks what is in them.
    options = ("--config-file=", "--follow-imports=skip", "--cache-dir", os.devnull)
    said = run(sys.executable, "-m", "mypy", *options, "-c", f"import {', '.join(NAMES)}", cwd=checkout)
    assert "Success" in said


def test_every_exported_name_is_importable() -> None:
    missing = [name for name in observatory.__all__ if not hasattr(observatory, name)]
    assert missing == []


def test_type_checkers_and_readers_are_told_the_same_names() -> None:
    # The imports under TYPE_CHECKING are what a type checker sees; __all__ is what is found at run time.
    tree = ast.parse((ROOT / "observatory" / "__init__.py").read_text())
    typed = {a.asname: n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names if a.asname}
    assert sorted(typed) == sorted(observatory.__all__)
    assert [n for n, home in typed.items() if getattr(import_module(str(home)), n) is not getattr(observatory, n)] == []


def normal(name: str) -> str:
    """A package's name as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*, tests: bool) -> set[str]:
    """What pip installs with the library and with its extras, with or without the one for its tests."""
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *(s for k, v in extras.items() if tests or k != "test" for s in v)]
    return {normal(re.split(r"[^\w.-]", line)[0]) for line in lines}


def imports(path: Path) -> set[str]:
    """The top-level names that a file imports, at its head or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"observatory"}


def test_every_package_that_the_library_imports_is_declared() -> None:
    distributions = packages_distributions()
    undeclared = {
        f"{name} in {path.relative_to(ROOT)}"
        for _, path in sources(ROOT)
        if path.suffix == ".py"
        for name in imports(path)
        if not {normal(found) for found in distributions.get(name, [name])} & declared(tests=False)
    }
    assert undeclared == set()


def test_every_declared_package_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines if "==" in line and not line.startswith("#")}
    assert declared(tests=True) - pinned == set()
