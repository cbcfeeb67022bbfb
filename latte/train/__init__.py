"""Training: learners, the training loop and step, encoding, checkpoints, precision."""
