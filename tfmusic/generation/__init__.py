"""Sampling and the one time loop, as graph code that every family shares."""
