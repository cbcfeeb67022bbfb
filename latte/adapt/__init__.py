"""Adaptation: learners, the loop, checkpoints; built-in labelers, prototypes and losses."""
