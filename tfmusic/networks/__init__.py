"""Networks that know nothing of music: recurrence, layers, losses, metrics."""
