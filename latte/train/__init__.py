"""Training: learners, the training loop, the step, checkpoints, precision and memory."""
