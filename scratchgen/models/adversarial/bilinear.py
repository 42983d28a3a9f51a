"""The bilinear game: why two players who go down their slopes may never arrive.

G. Gidel, H. Berard, G. Vignoud, P. Vincent and S. Lacoste-Julien (2019), "A variational inequality
perspective on generative adversarial networks".

One player chooses x and minimises f₁ = x y, the other chooses y and minimises f₂ = −x y. Neither
can better (0, 0) alone, so that is the game's only equilibrium. The slopes ∂f₁/∂x = y and
∂f₂/∂y = −x are at right angles to (x, y): followed in time they lead around the equilibrium in a
circle, and never nearer. Steps of size η make two different things of that.

**Simultaneous** steps, both from the same point, leave the circle along its tangent:

    x' = x − η y                      ( 1  −η )
    y' = y + η x        a product by  ( η   1 ),   of eigenvalues 1 ± iη

which turns, and makes longer by exactly √(1 + η²), however small η is: a spiral outwards.

**Alternating** steps, of which the second sees what the first has done, as in training:

    x' = x − η y                      ( 1     −η    )
    y' = y + η x'       a product by  ( η   1 − η²  ),   of determinant 1 and trace 2 − η²

For η < 2 its eigenvalues are e^{±iθ}, 2 cos θ = 2 − η², and x² + y² − η x y stays what it is: an
ellipse around the equilibrium, whose longest radius is √((2 + η) / (2 − η)) times its shortest.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import grad


def first(x: Any, y: Any) -> Any:
    """f₁, which the player of x minimises."""
    return x * y


def second(y: Any, x: Any) -> Any:
    """f₂, which the player of y minimises."""
    return -x * y


def trajectory(
    steps: int,
    learning_rate: float,
    *,
    alternating: bool,
    start: tuple[float, float] = (1.0, 0.0),
) -> Any:
    """Where the players are at first and after each step: (steps + 1, 2), in float64."""
    x, y = (np.array(number) for number in start)
    places = [(x, y)]
    for _ in range(steps):
        new_x = x - learning_rate * grad(first)(x, y)
        y = y - learning_rate * grad(second)(y, new_x if alternating else x)
        x = new_x
        places.append((x, y))
    return np.stack([np.stack(place) for place in places])
