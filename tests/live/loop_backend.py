"""A backend of mido within the process: keeps what is sent to an output."""

from mido.ports import BaseInput, BaseOutput

inputs: dict[str, "Input"] = {}
sent: list = []


def get_devices(**_):
    return [
        {"name": "Piano 20:0", "is_input": True, "is_output": True},
        {"name": "Synth 21:0", "is_input": False, "is_output": True},
        {"name": "Synth 22:0", "is_input": False, "is_output": True},
    ]


class Input(BaseInput):
    def _open(self, callback=None, **_):
        self.callback = callback
        inputs[self.name] = self


class Output(BaseOutput):
    def _send(self, message):
        sent.append(message)
