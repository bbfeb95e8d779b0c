"""Answers a phrase that is played on a MIDI port, or sent by OSC, with new music.

tfmusic live --model=folk --input=Keystation --output=Fluid    MIDI ports by name
tfmusic live --model=folk --osc_port=9000 --osc_reply=9001     OSC: /note PITCH VELOCITY

Play at --tempo. After --bars bars, or half a bar of silence, the model goes on with
what it has heard, on the beat; then it listens again. Every control of the model is a
flag too, such as --temperature=0.9. docs/live.md tells more.
"""

import contextlib
import sys

from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError, choose

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Name of a model that comes with tfmusic, or what export wrote.",
    required=True,
)
_INPUT = flags.DEFINE_string(
    "input", None, "MIDI port to listen to; a part of its name will do."
)
_OUTPUT = flags.DEFINE_string("output", None, "MIDI port to play on, alike.")
_OSC_PORT = flags.DEFINE_integer(
    "osc_port", None, "UDP port of this machine to listen to by OSC; 0: a free one."
)
_OSC_REPLY = flags.DEFINE_string(
    "osc_reply", None, "Where to play by OSC: a port of this machine, or HOST:PORT."
)
_TEMPO = flags.DEFINE_float(
    "tempo", 100.0, "Quarter notes a minute.", lower_bound=10, upper_bound=1000
)
_METRE = flags.DEFINE_string("metre", "4/4", "Metre, such as 3/4.")
_BARS = flags.DEFINE_integer(
    "bars", 4, "Longest phrase that it waits for, in bars.", 1, 64
)
_ANSWER_BARS = flags.DEFINE_integer(
    "answer_bars", None, "Length of an answer in bars; as --bars by default.", 1, 64
)
_SEED = flags.DEFINE_integer(
    "seed",
    0,
    "Seed of the first answer; the next has the next one.",
    lower_bound=0,
    upper_bound=2**25 - 1,
)


def main() -> None:
    """Answers until Ctrl-C."""
    from tfmusic.live import ports
    from tfmusic.live.phrases import Metre
    from tfmusic.serving.setting import Setting

    numerator, denominator = Setting(metre=_METRE.value).beats
    _check_ends(ports)
    controls = command_line.extra_flags()
    events = ports.Events()
    with contextlib.ExitStack() as stack:
        outputs = []
        if _OUTPUT.value:
            outputs.append(ports.MidiOutput(_OUTPUT.value))
        if _OSC_REPLY.value:
            outputs.append(ports.OscOutput(_OSC_REPLY.value))
        for output in outputs:
            stack.callback(output.close)
        ends = []
        if _INPUT.value:
            stack.enter_context(ports.midi_input(_INPUT.value, events))
            ends.append(_INPUT.value)
        if _OSC_PORT.value is not None:
            port = stack.enter_context(ports.osc_input(_OSC_PORT.value, events))
            ends.append(f"OSC port {port}")
        from tfmusic.live.session import Session, answering
        from tfmusic.serving.player import Player

        player = Player(_MODEL.value)
        choose(f"endpoint of {_MODEL.value}", "continue", player.card["endpoints"])
        num_bars = _ANSWER_BARS.value or _BARS.value
        session = Session(
            answering(player, num_bars, controls),
            Metre(_TEMPO.value, numerator, denominator),
            _BARS.value,
            events,
            outputs,
            _SEED.value,
        )
        sys.stdout.write(
            f"tfmusic live: {_MODEL.value} listens to {' and '.join(ends)} at "
            f"{_TEMPO.value:g} quarter notes a minute  (Ctrl-C ends it)\n"
        )
        sys.stdout.flush()
        session.run()


def _check_ends(ports) -> None:
    """Says what is missing to hear and to be heard, before anything is loaded."""
    hears = _INPUT.value or _OSC_PORT.value is not None
    if hears and (_OUTPUT.value or _OSC_REPLY.value):
        return
    missing = (
        "--output=PORT (MIDI) or --osc_reply=PORT"
        if hears
        else "--input=PORT (MIDI) or --osc_port=PORT"
    )
    try:
        found = f"MIDI {ports.describe_ports()}"
    except UserError as error:
        found = str(error)
    raise UserError(f"expected {missing}; {found}")


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
