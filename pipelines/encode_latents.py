"""Runs `tfmusic.encode_latents`, which has the flags and their help."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tfmusic.encode_latents", run_name="__main__", alter_sys=True)
