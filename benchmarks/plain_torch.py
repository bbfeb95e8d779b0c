"""The networks of `benchmarks.training` in PyTorch, as its users would write them.

    python benchmarks/plain_torch.py '{"network": "tokens", "units": [512], ...}'

`benchmarks.training` runs this file as a program of its own, by any Python that has
PyTorch: for every number of steps that it reads, it trains for so many and writes the
seconds of each of the settings' precisions, float32 or bfloat16 (autocast), in a line.
Layers are those of `torch.nn`, a batch holds random music, denormal numbers are flushed
to zero as TensorFlow does.
Some have less to do than ours: there is no dropout of the recurrent state (skuldur), no
vectors of pitches (chord), the notes' features are made beforehand (biaxial), and start
and sustain of a key know nothing of each other (seq2seq).
"""

import json
import sys
import time

import torch
from plain_torch_latents import WGAN, Autoencoder
from torch import nn
from torch.nn import functional


class Stack(nn.Module):
    """LSTM layers with dropout between them."""

    def __init__(self, size, units, dropout=0.0):
        super().__init__()
        sizes = [size, *units]
        self.layers = nn.ModuleList(
            nn.LSTM(a, b, batch_first=True)
            for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs):
        """Outputs of all steps."""
        for i, layer in enumerate(self.layers):
            inputs, _ = layer(self.dropout(inputs) if i else inputs)
        return inputs


class Tokens(nn.Module):
    """Embedding or index, LSTM layers, logits of the next token."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        number, size = settings["vocabulary_size"], settings["embedding_size"]
        self.embedding = nn.Embedding(number, size) if size else None
        self.recurrent = Stack(size or 1, settings["units"], settings["dropout"])
        last = settings["units"][-1]
        self.head = nn.Sequential(nn.Dropout(settings["dropout"]))
        if settings["head"] == "skuldur":
            self.head = nn.Sequential(
                nn.BatchNorm1d(last),
                nn.Dropout(0.3),
                nn.Linear(last, 256),
                nn.ReLU(),
                nn.BatchNorm1d(256),
                nn.Dropout(0.3),
            )
            last = 256
        self.output = nn.Linear(last, number)
        if settings["tied_output"]:
            self.output.weight = self.embedding.weight

    def make_batch(self):
        """Tokens and those after them."""
        shape = [self.settings["batch_size"], self.settings["window_steps"] + 1]
        tokens = torch.randint(4, self.settings["vocabulary_size"], shape)
        return tokens[:, :-1], tokens[:, 1:]

    def forward(self, inputs, targets):
        """The loss."""
        if self.embedding is None:
            inputs = inputs[..., None] / self.settings["vocabulary_size"]
        else:
            inputs = self.embedding(inputs)
        hidden = self.recurrent(inputs)
        if self.settings["loss_steps"] == "last":
            hidden, targets = hidden[:, -1:], targets[:, -1:]
        hidden = self.head(hidden.flatten(0, 1))
        logits = self.output(hidden).float()
        return functional.cross_entropy(logits, targets.flatten())


class Roll(nn.Module):
    """LSTM layers over a roll; for each hand its keys and, if asked, their number."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        keys, hands = settings["num_keys"], settings["num_hands"]
        self.recurrent = Stack(keys * hands, settings["units"], settings["dropout"])
        self.dropout = nn.Dropout(settings["head_dropout"])
        size = settings["units"][-1]
        self.branches, self.keys, self.counts = (nn.ModuleList() for _ in range(3))
        for _ in range(hands):
            branch, last = self.dense(size, settings["branch_units"])
            self.branches.append(branch)
            layer, width = self.dense(last, settings["key_units"])
            self.keys.append(nn.Sequential(layer, self.dropout, nn.Linear(width, keys)))
            layer, width = self.dense(last, settings["count_units"])
            self.counts.append(nn.Sequential(layer, nn.Linear(width, 1)))

    @staticmethod
    def dense(size, units):
        """A layer and its width; nothing where it has no units."""
        if not units:
            return nn.Identity(), size
        return nn.Sequential(nn.Linear(size, units), nn.LeakyReLU(0.01)), units

    def make_batch(self):
        """Frames and those after them."""
        settings = self.settings
        shape = [settings["batch_size"], settings["window_steps"] + 1]
        shape += [settings["num_hands"], settings["num_keys"]]
        roll = (torch.rand(shape) < 0.04).float()
        return roll[:, :-1], roll[:, 1:]

    def forward(self, inputs, targets):
        """The loss, of keys and their number."""
        hidden = self.recurrent(inputs.flatten(2))
        if self.settings["loss_steps"] == "last":
            hidden, targets = hidden[:, -1:], targets[:, -1:]
        loss = 0.0
        for i, branch in enumerate(self.branches):
            shared, truth = branch(hidden), targets[:, :, i]
            logits = self.keys[i](shared).float()
            loss += functional.binary_cross_entropy_with_logits(logits, truth)
            if self.settings["count_units"]:
                number = self.counts[i](shared)[..., 0].float()
                loss += functional.mse_loss(number, truth.sum(-1))
        return loss


class Biaxial(nn.Module):
    """LSTM layers along time for each note, then along the notes of each step."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        dropout, channels = settings["dropout"], settings["num_channels"]
        self.time = Stack(settings["num_features"], settings["time_units"], dropout)
        size = settings["time_units"][-1] + channels
        self.notes = Stack(size, settings["note_units"], dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(settings["note_units"][-1], channels)

    def make_batch(self):
        """What notes hear, made beforehand, and which are chosen."""
        settings = self.settings
        batch, steps = settings["batch_size"], settings["window_steps"]
        pitches = settings["num_pitches"]
        chosen = torch.rand([batch, steps, pitches, settings["num_channels"]]) < 0.04
        features = torch.rand([batch, steps, pitches, settings["num_features"]])
        return features, chosen.float()

    def forward(self, features, chosen):
        """The loss."""
        batch, steps, pitches, channels = chosen.shape
        hidden = self.time(features.transpose(1, 2).flatten(0, 1))
        hidden = self.dropout(hidden).unflatten(0, [batch, pitches]).transpose(1, 2)
        below = functional.pad(chosen[:, :, :-1], [0, 0, 1, 0])
        hidden = self.notes(torch.cat([hidden, below], -1).flatten(0, 1))
        logits = self.output(self.dropout(hidden)).float()
        truth = chosen.reshape(batch * steps, pitches, channels)
        return functional.binary_cross_entropy_with_logits(logits, truth)


class Seq2Seq(nn.Module):
    """An encoder of a segment of a roll; a decoder of the next, fed its own frames."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        size, units = settings["num_cells"], settings["units"]
        # Layers of one size, as `nn.LSTM` has them.
        self.encoder = nn.LSTM(
            size, units[0], len(units), batch_first=True, dropout=settings["dropout"]
        )
        self.cells = nn.ModuleList(
            nn.LSTMCell(a, b) for a, b in zip([size, *units[:-1]], units, strict=True)
        )
        self.dropout = nn.Dropout(settings["dropout"])
        self.head = nn.Sequential(
            nn.Linear(units[-1], settings["head_units"]),
            nn.ReLU(),
            nn.Dropout(settings["head_dropout"]),
            nn.Linear(settings["head_units"], size),
        )

    def make_batch(self):
        """Frames and those after them, `[batch, segment, step, cell]`."""
        settings = self.settings
        shape = [settings["batch_size"], settings["window_steps"] + 1]
        roll = (torch.rand([*shape, settings["num_cells"]]) < 0.04).float()
        cut = [-1, settings["segment_steps"]]
        return roll[:, :-1].unflatten(1, cut), roll[:, 1:].unflatten(1, cut)

    def forward(self, inputs, targets):
        """The loss; each step waits for what was decoded before."""
        batch, segments, steps, _ = inputs.shape
        _, state = self.encoder(targets[:, :-1].flatten(0, 1))
        # The first segment begins with zeros.
        state = [part.unflatten(1, [batch, segments - 1]) for part in state]
        state = [functional.pad(part, [0, 0, 1, 0]).flatten(1, 2) for part in state]
        states = list(zip(*state, strict=True))  # of each layer
        frames, outputs = inputs.flatten(0, 1), []
        is_true = torch.rand([batch * segments, steps, 1]) < self.settings["truth"]
        for i in range(steps):
            values = frames[:, i]
            if i:
                own = (outputs[-1] > 0).float()
                values = torch.where(is_true[:, i], values, own)
            for k, cell in enumerate(self.cells):
                states[k] = cell(self.dropout(values) if k else values, states[k])
                values = states[k][0]
            outputs.append(self.head(values))
        logits, truth = torch.stack(outputs, 1).float(), targets.flatten(0, 1)
        losses = functional.binary_cross_entropy_with_logits(
            logits, truth, reduction="none"
        )
        alpha = self.settings["alpha"]
        weights = torch.where(truth > 0.5, alpha, 1 - alpha)
        weights *= (1 - torch.exp(-losses.detach())) ** self.settings["gamma"]
        return (weights * losses).sum(-1).mean()


NETWORKS = {
    "tokens": Tokens,
    "roll": Roll,
    "biaxial": Biaxial,
    "seq2seq": Seq2Seq,
    "set_autoencoder": Autoencoder,
    "latent_wgan": WGAN,
}


def make_call(settings, precision):
    """A function that trains a network of its own for so many steps; its weights."""
    torch.manual_seed(0)
    model = NETWORKS[settings["network"]](settings)
    batch = model.make_batch()
    if isinstance(model, WGAN):
        step = model.train_step
    else:
        make = getattr(torch.optim, settings["optimizer"])
        optimizer = make(model.parameters(), 1e-3)

        def step(*batch):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, precision == "bfloat16"):
                loss = model(*batch)
            loss.backward()
            optimizer.step()

    def call(num_steps):
        for _ in range(num_steps):
            step(*batch)

    # Its LSTM layers have two biases, which are only ever added.
    named = model.named_parameters()
    return call, sum(p.numel() for name, p in named if "bias_hh" not in name)


def main(settings):
    """Answers each line of the input with one of the output."""
    torch.set_flush_denormal(True)
    now = time.perf_counter
    if settings["cpu_seconds"]:
        torch.set_num_threads(1)
        now = time.process_time
    made = [make_call(settings, precision) for precision in settings["precisions"]]
    calls, sizes = zip(*made, strict=True)
    for call in calls:
        call(1)
    print(torch.__version__, torch.get_num_threads(), sizes[0], flush=True)
    for line in sys.stdin:
        seconds = []
        for call in calls:
            start = now()
            call(int(line))
            seconds.append(now() - start)
        print(*seconds, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
