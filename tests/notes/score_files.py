"""Small MusicXML scores, as text."""

import io
import zipfile

CONTAINER = """<container><rootfiles>{}</rootfiles></container>"""


def note(pitch: str, duration=1, inside: str = "", **attributes) -> str:
    """A note such as `C4`, `F#5` or `Bb3`, a rest `r`, or a hit `x`.

    What stands inside comes after the duration, as in `<voice>2</voice>`; `chord` and
    `grace` may come first: `note("E4", 1, chord=True)`.
    """
    head = "".join(
        f"<{name}/>" for name in ("grace", "chord", "cue") if name in attributes
    )
    shown = "".join(
        f' {name}="{value}"' for name, value in attributes.items() if value is not True
    )
    if pitch == "r":
        what = "<rest/>"
    elif pitch == "x":
        what = "<unpitched/>"
    else:
        alter = pitch.count("#") - pitch[1:].count("b")
        what = (
            f"<pitch><step>{pitch[0]}</step><alter>{alter}</alter>"
            f"<octave>{pitch[-1]}</octave></pitch>"
        )
    length = "" if "grace" in attributes else f"<duration>{duration}</duration>"
    return f"<note{shown}>{head}{what}{length}{inside}</note>"


def notes(text: str, duration=1) -> str:
    """Notes of one length, such as `C4 D4 E4`."""
    return "".join(note(pitch, duration) for pitch in text.split())


def attributes(metre="4/4", fifths=None, divisions=1, more="", mode="") -> str:
    """The attributes of a first measure."""
    time = key = ""
    if metre:
        beats, unit = metre.split("/")
        time = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
    if fifths is not None:
        mode = f"<mode>{mode}</mode>" if mode else ""
        key = f"<key><fifths>{fifths}</fifths>{mode}</key>"
    return (
        f"<attributes><divisions>{divisions}</divisions>{key}{time}{more}</attributes>"
    )


def tie(*types: str) -> str:
    """The ties of a note: "start", "stop"."""
    return "".join(f'<tie type="{kind}"/>' for kind in types)


def direction(inside: str, sound: str = "", more: str = "") -> str:
    """A direction: what is shown, the attributes of its <sound>."""
    sound = f"<sound {sound}/>" if sound else ""
    return (
        f"<direction><direction-type>{inside}</direction-type>{more}{sound}</direction>"
    )


def barline(inside: str, location: str = "right") -> str:
    return f'<barline location="{location}">{inside}</barline>'


def backup(duration) -> str:
    return f"<backup><duration>{duration}</duration></backup>"


def score(*parts: list[str], heads: dict[int, str] | None = None, top="") -> str:
    """A score of parts, which are lists of measures; heads go into their score-part."""
    listed, body = "", ""
    for i, measures in enumerate(parts):
        head = (heads or {}).get(i, f"<part-name>Part {i + 1}</part-name>")
        listed += f'<score-part id="P{i}">{head}</score-part>'
        body += f'<part id="P{i}">'
        for number, measure in enumerate(measures, 1):
            opening = "" if measure.startswith("<measure") else "<measure>"
            body += f"{opening}{measure}</measure>".replace(
                "<measure>", f'<measure number="{number}">', 1
            )
        body += "</part>"
    return (
        f"<score-partwise>{top}<part-list>{listed}</part-list>{body}</score-partwise>"
    )


def archive(files: dict[str, str | bytes]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def compressed(text: str) -> bytes:
    """An .mxl file."""
    container = CONTAINER.format('<rootfile full-path="a.xml"/>')
    return archive({"META-INF/container.xml": container, "a.xml": text})
