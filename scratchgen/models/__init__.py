"""Generative models, by how they define a density."""
