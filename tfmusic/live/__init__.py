"""`tfmusic live`: a model that answers what is played, by MIDI or OSC."""
