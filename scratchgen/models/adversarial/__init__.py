"""Models without a density: a generator learns from a critic, who learns to tell it from data."""
