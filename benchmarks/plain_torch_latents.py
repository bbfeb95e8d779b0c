"""The set autoencoder and the latent WGAN in PyTorch, see `benchmarks/plain_torch.py`.

Counterparts of `benchmarks.plain_autoencoder` (all slots at once, the unused ones
masked) and of `benchmarks.plain_wgan`, at the published settings.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional

VECTOR_SIZE = 6  # of encoding "pon"


def perceptron(sizes, normalize=True):
    """Hidden layers, and a linear one."""
    layers = []
    for a, b in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), nn.LayerNorm(b)] if normalize else [nn.Linear(a, b)]
        layers.append(nn.Mish())
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


class Autoencoder(nn.Module):
    """Sets of events to vectors of fixed size and back."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        size, latent = VECTOR_SIZE, settings["latent_size"]
        keys = [settings["max_events"], *settings["key_units"], latent]
        # Events are ranked by what stays as it began.
        self.order = nn.Linear(size, 1).requires_grad_(False)
        self.values = perceptron([size, *settings["value_units"], latent])
        self.value_keys, self.event_keys = perceptron(keys), perceptron(keys)
        self.of_size = nn.Linear(1, latent)
        self.sizes = perceptron([latent, *settings["size_units"], 1])
        self.events = perceptron([latent, *settings["event_units"], size], False)
        self.register_buffer("slots", torch.eye(keys[0]), persistent=False)

    def make_batch(self):
        """Vectors `[chunk, event, number]` and how many of them there are."""
        number = self.settings["batch_size"] * self.settings["window_steps"]
        slots = self.settings["max_events"]
        vectors = 2 * torch.rand([number, slots, VECTOR_SIZE]) - 1
        return vectors, torch.randint(0, slots + 1, [number])

    def forward(self, vectors, sizes):
        """The loss."""
        used = torch.arange(vectors.shape[1]) < sizes[:, None]
        scores = self.order(vectors)[..., 0].masked_fill(~used, torch.inf)
        order = scores.argsort(stable=True)[..., None]
        vectors = torch.take_along_dim(vectors, order, 1)
        values = self.values(vectors) * self.value_keys(self.slots)
        number = sizes[:, None].float()
        latents = (values * used[..., None]).sum(1) + self.of_size(number)
        outputs = self.events(latents[:, None] * self.event_keys(self.slots))
        errors = (outputs - vectors) ** 2
        is_key = vectors[..., 0] < 0.1
        loss = errors[..., 0] + is_key * (errors[..., 1] + errors[..., 2])
        loss += self.settings["continuous_coefficient"] * errors[..., 3:].mean(-1)
        size_loss = functional.mse_loss(self.sizes(latents), number)
        total = (used * loss).sum(-1).mean()
        return total + self.settings["size_coefficient"] * size_loss


class Bound(nn.Module):
    """A hyperbolic tangent of any height."""

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def forward(self, values):
        """Values within the bound."""
        return self.bound * torch.tanh(values / self.bound)


class WGAN(nn.Module):
    """A Wasserstein GAN with gradient penalty, and its steps."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        channels, latent = settings["generator_channels"], settings["latent_size"]
        steps = settings["num_chunks"] >> len(channels)
        first = steps * channels[0]
        self.generator = nn.Sequential(
            nn.Linear(settings["noise_size"], first),
            nn.LayerNorm(first, elementwise_affine=False),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, [channels[0], steps]),
            *self.convolutions(nn.ConvTranspose1d, channels),
            nn.ConvTranspose1d(channels[-1], latent, 4, 2, 1, bias=False),
            Bound(settings["bound"]),
        )
        channels, size = settings["critic_channels"], settings["feature_size"]
        self.critic = nn.Sequential(
            *self.convolutions(nn.Conv1d, [latent, *channels]),
            nn.Conv1d(channels[-1], size, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.score = nn.Linear(size * (settings["num_chunks"] >> len(channels) + 1), 1)
        self.generator_weights = list(self.generator.parameters())
        critic_weights = [*self.critic.parameters(), *self.score.parameters()]
        self.generator_optimizer = torch.optim.Adam(self.generator_weights, 1e-4)
        self.critic_optimizer = torch.optim.Adam(critic_weights, 1e-4)

    @staticmethod
    def convolutions(kind, channels):
        """Layers from each number of channels to the next, normalised."""
        for a, b in itertools.pairwise(channels):
            yield kind(a, b, 4, 2, 1, bias=False)
            yield nn.InstanceNorm1d(b)
            yield nn.LeakyReLU(0.2)

    def make_batch(self):
        """Real sequences, noise for both kinds of steps, where slopes are measured."""
        number = self.settings["batch_size"]
        shape = [number, self.settings["latent_size"], self.settings["num_chunks"]]
        noises = torch.randn([2, number, self.settings["noise_size"]])
        return torch.randn(shape), *noises, torch.rand([number, 1, 1])

    def train_step(self, real, noise, other_noise, mix):
        """Steps of the critic, then one of the generator."""
        number = self.settings["critic_steps"]
        for i in range(number):
            self.critic_optimizer.zero_grad()
            self.critic_loss(
                real[i::number], noise[i::number], mix[i::number]
            ).backward()
            self.critic_optimizer.step()
        self.generator_optimizer.zero_grad()
        features = self.critic(self.generator(other_noise[i::number]))
        with torch.no_grad():
            wanted = self.critic(real[i::number])
        distance = functional.mse_loss(features, wanted)
        loss = self.settings["matching_coefficient"] * distance
        loss -= self.score(features).mean()
        loss.backward(inputs=self.generator_weights)
        self.generator_optimizer.step()

    def critic_loss(self, real, noise, mix):
        """The loss of a batch."""
        with torch.no_grad():
            generated = self.generator(noise)
        scores, others = (self.score(self.critic(x)) for x in (real, generated))
        points = torch.lerp(real, generated, mix).requires_grad_()
        between = self.score(self.critic(points)).sum()
        (slopes,) = torch.autograd.grad(between, points, create_graph=True)
        norms = slopes.flatten(1).norm(dim=1)
        penalty = ((norms - 1) ** 2).mean()
        loss = others.mean() - scores.mean()
        return loss + self.settings["penalty_coefficient"] * penalty
