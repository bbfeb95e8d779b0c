"""Apache Beam, imported without its warnings about cloud libraries that are missing.

The only module that imports it.
"""

import contextlib
import logging
from collections.abc import Iterator

from tfmusic.errors import UserError

logging.disable(logging.WARNING)
try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import create_runner
    from apache_beam.utils import interactive_utils
except ModuleNotFoundError as error:
    if error.name != "apache_beam":
        raise
    raise UserError(
        'datasets are written with Apache Beam, which is not installed; pip install "'
        'tfmusic[pipelines]"'
    ) from error
finally:
    logging.disable(logging.NOTSET)

__all__ = ["PipelineOptions", "beam", "create_runner", "not_interactive"]


@contextlib.contextmanager
def not_interactive() -> Iterator[None]:
    """Hides a notebook from Beam.

    Of a notebook's pipelines Beam keeps the files and names the steps by cells; that
    takes pandas, and a version of it that others may not want.
    """
    users = (interactive_utils, beam.pipeline)
    found = interactive_utils.is_in_ipython
    for module in users:
        module.is_in_ipython = bool  # gives False
    try:
        yield
    finally:
        for module in users:
            module.is_in_ipython = found
