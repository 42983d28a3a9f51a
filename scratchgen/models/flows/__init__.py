"""Densities by change of variables: data, made noise by an invertible function."""
