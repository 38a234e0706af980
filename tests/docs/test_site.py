"""The documentation builds a site and a man page without warnings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kademlua
from kademlua.cli import main
from tests.support.programs import ROOT


def build(builder: str, into: Path, doctrees: Path) -> Path:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", builder, "-d", str(doctrees)]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(into)],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="module")
def doctrees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sphinx keeps the pages that it has read, which is most of its work, as in bin/docs."""
    return tmp_path_factory.mktemp("doctrees")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, doctrees: Path) -> Path:
    return build("html", tmp_path_factory.mktemp("site"), doctrees)


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.read_text()):
            assert "//" not in tag.replace('rel="', ""), (page, tag)


def test_site_documents_every_command(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text()
    context = main.make_context("kademlua", [], resilient_parsing=True)
    for name in main.list_commands(context):
        assert f'id="kademlua-{name}"' in text, name


def test_site_documents_every_public_name(site: Path) -> None:
    text = (site / "reference" / "api.html").read_text()
    for name in kademlua.__all__:
        if name != "Endpoint":  # a name for (str, int)
            assert f'id="kademlua.{name}"' in text, name
    for name in dir(kademlua.Node):
        if not name.startswith("_"):
            assert f'id="kademlua.Node.{name}"' in text, name


def test_man_page_builds(tmp_path: Path, doctrees: Path) -> None:
    text = (build("man", tmp_path, doctrees) / "kademlua.1").read_text()
    assert ".TH" in text
    assert "kademlua node 8001" in text
