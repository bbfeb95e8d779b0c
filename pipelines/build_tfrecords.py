"""Runs `tfmusic.build`, which has the flags and their help."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tfmusic.build", run_name="__main__", alter_sys=True)
