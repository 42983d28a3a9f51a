"""From a seed to a run folder: the training loop, checkpoints, pictures and progress."""
