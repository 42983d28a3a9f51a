"""Models that factorise the density over the dimensions: p(x) = Π_i p(x_i | x_1, …, x_{i−1})."""
