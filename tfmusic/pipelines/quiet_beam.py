"""Apache Beam, imported without its warnings about cloud libraries that are missing.

The only module that imports it.
"""

import logging

logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.runners.runner import create_runner  # noqa: E402

logging.disable(logging.NOTSET)

__all__ = ["PipelineOptions", "beam", "create_runner"]
