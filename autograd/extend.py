"""Operations of one's own, with the names of HIPS/autograd.

@primitive
def logistic(x):
    return 1 / (1 + np.exp(-x))

defvjp(logistic, lambda ans, x: lambda g: g * ans * (1 - ans))
"""

from autograd.core import (
    Hook,
    defvjp,
    defvjp_argnums,
    hook,
    is_recording,
    primitive,
)

__all__ = ["Hook", "defvjp", "defvjp_argnums", "hook", "is_recording", "primitive"]
