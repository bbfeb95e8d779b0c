"""A worker process of a job on this machine: Beam's own, without its chatter."""

import logging
import sys

# Before Beam is imported, which already has something to say. Failures are not logged
# but handed to the process that started the job.
logging.disable(logging.WARNING)

from apache_beam.runners.worker import sdk_worker_main  # noqa: E402

if __name__ == "__main__":
    sdk_worker_main.main(sys.argv)
