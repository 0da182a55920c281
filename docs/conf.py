"""How the site is built: python -m sphinx -W -b html docs docs/_build/html (pip install "torch-symbolic[docs]")."""

import hashlib
import os
import re
import sys
from doctest import DocTestParser
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import tables  # noqa: E402
from sphinx_gallery.utils import scale_image  # noqa: E402

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
    "myst_nb",
    "sphinx_gallery.gen_gallery",
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

# Pages whose examples are executed, so that their figures are there. They stay doctests, which say what comes out.
EXECUTED = ("guide", "front", "switch", "variables", "figures", "native-engine")
nb_execution_mode = "cache"  # beside the output folder; a page that has not changed is not run again
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
os.environ["OMP_NUM_THREADS"] = "1"  # of the kernels: networks as small as these are no quicker with more

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "quickstart|/figures/",  # are executed, in a minute; of the others stands what a full run drew
    "nested_sections": False,
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "tables.arguments",
    "capture_repr": (),
    "default_thumb_file": str(HERE / "_static" / "program.png"),
    "notebook_extensions": [],
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
}

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


LIBRARY = hashlib.blake2b(
    b"".join(path.read_bytes() for path in sorted((HERE.parent / "symtorch").rglob("*.py"))), digest_size=8
).hexdigest()
"""Names the library as it is: what another one has executed is no longer true."""

NOTEBOOK = f"""---
file_format: mystnb
kernelspec:
  name: python3
---

```{{code-cell}}
:tags: [remove-cell]

# of {LIBRARY}
import warnings
warnings.simplefilter("ignore")
%config InlineBackend.figure_formats = ["svg"]
```
"""
"""What stands before a page that is executed."""


def as_cells(block: str) -> str:
    """Examples for doctest as cells of a notebook, one for all lines up to where something comes out."""
    cells, source = [], ""
    for example in DocTestParser().get_examples(block):
        source += re.sub(r" *# doctest:.*", "", example.source)
        if example.want:
            cells.append(source)
            source = ""
    return "".join(f"```{{code-cell}}\n{cell}```\n" for cell in [*cells, source] if cell)


def titled(text: str, picture: str | None) -> str:
    """A page of the gallery with a title, where its program has none: its first line up to a colon; and a picture."""

    def with_title(match: re.Match[str]) -> str:
        title, _, rest = match[2].partition(": ")
        image = f".. image:: /_static/{picture}\n   :alt: what a full run draws\n\n" if picture else ""
        title = title.rstrip(".")
        return f"{match[1]}{title}\n{'=' * len(title)}\n\n{image}{rest[:1].upper()}{rest[1:]}\n"

    begin = re.compile(r"(^\.\. _sphx_glr_gallery_\w+\.py:\n\n)(.+)\n(?!===)", flags=re.MULTILINE)
    return begin.sub(with_title, text, count=1)


def picture_of(page: str) -> str | None:
    """The picture, below _static, that a full run of a program in the gallery drew; None where there is none."""
    name = f"{page.removeprefix('gallery/')}.png"
    return name if page.startswith("gallery/") and (HERE / "_static" / name).is_file() else None


def setup(app: Any) -> None:
    def executed_by_another(app: Any) -> None:
        gallery, known = HERE / "gallery", HERE / "gallery" / "library"
        if not known.is_file() or known.read_text() != LIBRARY:
            for path in gallery.rglob("*.md5"):  # by these it knows what need not be executed again
                path.unlink()
            gallery.mkdir(exist_ok=True)
            known.write_text(LIBRARY)

    def thumbnails(app: Any) -> None:
        for page in (HERE / "gallery").glob("*.rst"):
            if picture := picture_of(f"gallery/{page.stem}"):
                small = HERE / "gallery" / "images" / "thumb" / f"sphx_glr_{page.stem}_thumb.png"
                scale_image(HERE / "_static" / picture, small, 400, 280)

    def as_on_the_site(app: Any, page: str, source: list[str]) -> None:
        for path, there in ELSEWHERE.items():
            source[0] = source[0].replace(f"]({path})", f"]({there})")
        if page.startswith("gallery/"):
            source[0] = titled(source[0], picture_of(page))
        if page in EXECUTED:
            examples = re.compile(r"^```python\n(>>> .*?)^```\n", flags=re.MULTILINE | re.DOTALL)
            source[0] = NOTEBOOK + examples.sub(lambda match: as_cells(match[1]), source[0])
        # The blank line that ends an example for doctest.
        source[0] = re.sub(r"(^```python\n.*?\n)\n+(```\n)", r"\1\2", source[0], flags=re.MULTILINE | re.DOTALL)

    def without_a_type(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
        if what in ("attribute", "property"):  # else napoleon takes what stands before a colon for their type
            lines.insert(0, "")

    def readable(app: Any, what: str, name: str, thing: Any, options: Any, arguments: str, returns: str) -> Any:
        # A field's default factory is no Python, and what is not parsed is not set as a signature.
        return (arguments.replace("<factory>", "..."), returns) if arguments and "<factory>" in arguments else None

    app.connect("builder-inited", executed_by_another, priority=100)
    app.connect("builder-inited", thumbnails, priority=900)  # sphinx-gallery has written its pages by then
    app.connect("source-read", as_on_the_site)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-process-docstring", without_a_type, priority=400)  # napoleon has 500
