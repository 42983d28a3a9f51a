"""How good are the draws of a model that has no density? Draws are compared with data."""
