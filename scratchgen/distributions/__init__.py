"""Probability distributions: log-probabilities and samplers, one file each."""
