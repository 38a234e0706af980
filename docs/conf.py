"""Sphinx configuration of the site and the man page; ``bin/docs`` builds both, offline."""

from __future__ import annotations

import kademlua

project = "Kademlua"
author = "The Kademlua authors"
copyright = author
version = release = kademlua.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["examples/**"]
myst_heading_anchors = 3
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
# The modules that define the public names are internal: show short names.
autodoc_typehints_format = "short"

html_theme = "alabaster"
html_theme_options = {
    "description": "A Kademlia distributed hash table on gevent",
    "page_width": "1100px",
    "sidebar_width": "240px",
    "font_family": "Georgia, 'Bitstream Charter', serif",
    "fixed_sidebar": True,
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False

man_pages = [
    ("reference/cli", "kademlua", "a Kademlia distributed hash table", [author], 1),
]
