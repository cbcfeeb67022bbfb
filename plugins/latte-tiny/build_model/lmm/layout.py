"""Layout of the language model's dimensions: the content of each range before training.

Image content and text begin in separate dimensions, so that words cannot overwrite the image.
"""

from __future__ import annotations

WIDTH = 448
CLASSES = slice(0, 320)
"""Image features that are the input of the low-rank ImageNet head."""
LOOKS = slice(320, 347)
"""Linear predictions of colours, background and texture."""
POOLED = slice(0, 384)
"""Dimensions of the first layer's pooling heads; a whole number of heads."""
TEXT = slice(347, 444)
"""Meaning of a text token, from sentence features."""
CONST, IMAGE, BIAS, SPEAK = 444, 445, 446, 447
"""Single dimensions: a large constant, a mark of image tokens, a 1 for biases, and one that
enables class tokens."""

LARGE = 128.0
"""Value of the constant, so large that RMSNorm divides all tokens by nearly the same number."""
UNIT = 0.25
"""Standard deviation of the dimensions of image content: CLASSES and LOOKS."""
WORD = 0.1
"""Standard deviation of TEXT, which is smaller: otherwise each token would predict itself."""
MARK = 2.0
"""Value of IMAGE in image tokens."""
GAIN = LARGE / (WIDTH**0.5 * UNIT)
"""Weight of the norms, so that an input of UNIT gives an output of 1."""
HEADS = 7
HEAD_WIDTH = WIDTH // HEADS
POOLING_HEADS = POOLED.stop // HEAD_WIDTH
