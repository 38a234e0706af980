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


def build(builder: str, into: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", builder, str(ROOT / "docs"), str(into)],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("html", tmp_path_factory.mktemp("site"))


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


def test_man_page_builds(tmp_path: Path) -> None:
    text = (build("man", tmp_path) / "kademlua.1").read_text()
    assert ".TH" in text
    assert "kademlua node 8001" in text
