"""Configuration of the documentation."""

project = "graph-metamers"
author = "The graph-metamers developers"
copyright = "2026, the graph-metamers developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "graph-metamers"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say shapes, which types do not
autodoc_member_order = "bysource"
napoleon_google_docstring = False
