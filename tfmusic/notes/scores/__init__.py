"""Written scores, MusicXML and ABC, into NoteSequences.

`musicxml` reads MusicXML through music21, `tunes` reads ABC by its standard, both into
a `playing.Score`; `playing` makes a NoteSequence of it. What a NoteSequence has no
field for stands in it as text annotations: fermatas, and what the reader has to say
(`remarks`).
"""

from tfmusic.notes.scores.playing import FERMATA, remarks

__all__ = ["FERMATA", "remarks"]
