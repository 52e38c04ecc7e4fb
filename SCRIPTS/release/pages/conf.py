"""Sphinx's settings for the documentation site: all that `SCRIPTS/release/site.py` does not write itself."""

project = html_title = "casestudy"
author = copyright = "the casestudy authors"
language = "en"
root_doc = "index"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 4  # the anchors that GitHub makes, so that one link serves both
nb_execution_mode = "off"  # site.py executes them, with its own parameters
nb_merge_streams = True  # one block for all that a cell prints
nb_ipywidgets_js: dict = {}  # by default these are fetched from outside
suppress_warnings = ["mystnb.unknown_mime_type"]  # a progress bar has its text, too

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"  # a record's long list of fields stands below its first sentence
default_role = "code"  # docstrings have single backticks, as in Markdown
highlight_language = "text"

html_theme = "furo"  # its letters are the system's: nothing is fetched from outside
html_css_files = ["site.css"]
html_static_path = ["_static"]
html_copy_source = html_use_index = False
html_theme_options = {"footer_icons": [], "source_repository": ""}
