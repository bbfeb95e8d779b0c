"""How the models that come with tfmusic are made, and those too large for the wheel."""
