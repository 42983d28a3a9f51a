"""Derivations as programs: claims that are computed on both sides, and compared.

    from scratchgen.derivations import Proof, claim

:mod:`.claim` says what a claim is, :mod:`.proof` what it may write down and where tolerances come
from. The other modules are the claims, one section each; ``scratchgen verify`` runs them.
"""

from scratchgen.derivations.claim import Claim, claim
from scratchgen.derivations.proof import LEVEL, Proof

__all__ = ["LEVEL", "Claim", "Proof", "claim"]
