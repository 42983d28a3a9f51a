"""Models with latent variables, which nobody observes and all that is observed depends on."""
