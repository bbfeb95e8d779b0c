"""Written scores, MusicXML and ABC, into NoteSequences.

`musicxml` and `tunebooks` read a file into a `playing.Score`, by music21 and abc2midi;
`playing` makes a NoteSequence of it. What a NoteSequence has no field for stands in it
as text annotations: fermatas, and what the reader has to say (`remarks`).
"""

from tfmusic.notes.scores.playing import FERMATA, remarks

__all__ = ["FERMATA", "remarks"]
