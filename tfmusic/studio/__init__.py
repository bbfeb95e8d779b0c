"""The page: make music with a model, see, hear and change it, on this machine alone."""
