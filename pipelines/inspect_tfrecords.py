"""Runs `tfmusic.inspect`, which has the flags and their help."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tfmusic.inspect", run_name="__main__", alter_sys=True)
