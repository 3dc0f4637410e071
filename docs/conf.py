"""Sphinx: `make docs` builds the site in build/docs/html, without a network and with warnings as errors."""

from importlib import metadata

project = "imbalance-bench"
author = "imbalance-bench developers"
project_copyright = author
version = release = metadata.version("imbalance-bench")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generate"]
nitpicky = True
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]

html_theme = "furo"  # fonts of the system, scripts of its own: a page asks nothing of another host
html_title = f"imbalance-bench {version}"
html_extra_path = ["gallery/extra"]  # the example report, one file, as it is
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []
