"""How good is a model? Its likelihood of images that it was not trained on."""

from __future__ import annotations

from typing import Any

from autograd import backend, no_grad


def mean_nats(model: Any, images: Any, batch_size: int = 128) -> float:
    """Mean −ln p(x) over ``images`` (N, …), host arrays, in nats per image."""
    total = 0.0
    with no_grad():
        for start in range(0, len(images), batch_size):
            batch = backend.asarray(images[start : start + batch_size])
            total -= model.log_prob(batch).sum().item()
    return total / len(images)
