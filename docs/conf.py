"""How the site is built: python -m sphinx -W -b html docs docs/_build/html (pip install "torch-symbolic[docs]")."""

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import tables  # noqa: E402

import symtorch  # noqa: E402

tables.write()

ELSEWHERE = {"../CONTRIBUTING.md": "development.md", "../CHANGELOG.md": "changelog.md"}
"""Where files of the repository that pages link to are on the site."""

project = "torch-symbolic"
author = "The SymTorch developers"
project_copyright = author
release = symtorch.__version__
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_generated"]
highlight_language = "text"  # what is not marked as code is a drawing, a table or a command's output

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
toc_object_entries_show_parents = "hide"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "torch-symbolic"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["llms.txt"]
html_copy_source = True  # llms.txt links to the pages as Markdown
html_show_sourcelink = False
html_sidebars: dict[str, list[str]] = {page: [] for page in ("index", "install", "examples")}
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Any) -> None:
    def as_on_the_site(app: Any, page: str, source: list[str]) -> None:
        for path, there in ELSEWHERE.items():
            source[0] = source[0].replace(f"]({path})", f"]({there})")
        # The blank line that ends an example for doctest.
        source[0] = re.sub(r"(^```python\n.*?\n)\n+(```\n)", r"\1\2", source[0], flags=re.MULTILINE | re.DOTALL)

    def without_a_type(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
        if what in ("attribute", "property"):  # else napoleon takes what stands before a colon for their type
            lines.insert(0, "")

    def readable(app: Any, what: str, name: str, thing: Any, options: Any, arguments: str, returns: str) -> Any:
        # A field's default factory is no Python, and what is not parsed is not set as a signature.
        return (arguments.replace("<factory>", "..."), returns) if arguments and "<factory>" in arguments else None

    app.connect("source-read", as_on_the_site)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-process-docstring", without_a_type, priority=400)  # napoleon has 500
