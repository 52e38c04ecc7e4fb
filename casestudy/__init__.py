"""A case study in a box: from an archive of fingerspelled letters to an honest report.

The verbs, in the order of the pipeline: `clean_archive`, `load_images`, `split_images`, `build_model`, `train`,
`evaluate`, `run_study`, `write_report`, `read_photographs`. Each is loaded from its room when first used, so that
`import casestudy` costs milliseconds, and TensorFlow is imported by those that need it. The public names stand in
`__init__.pyi`.
"""

import warnings

import lazy_loader

# A notebook without ipywidgets shows plain progress bars, and nobody needs to be told to install anything.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
