"""Judging music and models: likelihood, statistics, pictures, copied passages."""
