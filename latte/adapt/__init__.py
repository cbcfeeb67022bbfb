"""Adaptation: learners, the training loop, checkpoints; built-in labelers, prototypes and losses."""
