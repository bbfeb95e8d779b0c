"""The library of the Beam jobs that write datasets from sources of music."""
