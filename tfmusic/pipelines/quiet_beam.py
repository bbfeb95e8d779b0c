"""Apache Beam, imported without its warnings about cloud libraries that are missing.

The only module that imports it.
"""

import logging

from tfmusic.errors import UserError

logging.disable(logging.WARNING)
try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import create_runner
except ModuleNotFoundError as error:
    if error.name != "apache_beam":
        raise
    raise UserError(
        'datasets are written with Apache Beam, which is not installed; pip install "'
        'tfmusic[pipelines]"'
    ) from error
finally:
    logging.disable(logging.NOTSET)

__all__ = ["PipelineOptions", "beam", "create_runner"]
