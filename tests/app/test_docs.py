"""The documents are policed: what they say is what the code is."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("name", "written_by"), [("reference.md", "page"), ("spec.md", "spec_page")])
def test_the_reference_pages_are_those_the_code_writes(name: str, written_by: str) -> None:
    written = runpy.run_path(str(CHECKOUT / "docs" / "reference.py"))[written_by]()
    kept = (CHECKOUT / "docs" / name).read_text(encoding="utf-8")
    assert kept == written, "run: .venv/bin/python docs/reference.py"


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for page in [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} → {target}"


def test_the_lock_pins_every_direct_dependency_and_names_no_registry() -> None:
    lines = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = {re.split(r"==", line)[0].lower().replace("_", "-") for line in lines if line and not line.startswith("#")}
    assert not any("://" in line or line.startswith("-") for line in lines)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    direct = {re.split(r"[=<>]", name)[0].lower().replace("_", "-") for name in asked}
    assert direct - pinned == set()


def test_every_direct_dependency_is_named_with_its_reason() -> None:
    told = (CHECKOUT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in [*project["dependencies"], *(n for extra in project["optional-dependencies"].values() for n in extra)]:
        assert re.split(r"[=<>]", name)[0].lower() in told, name


def test_no_module_shadows_a_package_or_a_standard_module() -> None:
    """The script's folder comes first on sys.path, so a neighbour called queue.py would be imported instead."""
    import sys

    taken = set(sys.stdlib_module_names) | {
        "wandb",
        "kaggle",
        "streamlit",
        "torch",
        "fastai",
        "timm",
        "plotly",
        "pandas",
    }
    modules = [*Path(CHECKOUT, "app").rglob("*.py"), *Path(CHECKOUT, "engine").rglob("*.py")]
    assert [path for path in modules if path.stem in taken] == []
