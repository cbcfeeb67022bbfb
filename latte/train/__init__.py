"""Training: learners, the loop, the step, encoding, checkpoints, precision."""
