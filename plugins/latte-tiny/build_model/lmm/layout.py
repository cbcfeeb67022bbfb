"""Content of each part of the language model's width before training.

The parts start apart, so that what the image shows cannot be drowned by the words around it.
"""

from __future__ import annotations

WIDTH = 448
CLASSES = slice(0, 320)
"""The reduced ImageNet head's input: what the image shows."""
LOOKS = slice(320, 347)
"""Colours, ground and texture, as linear guesses."""
POOLED = slice(0, 384)
"""What the first layer's pooling heads carry; a whole number of heads."""
TEXT = slice(347, 444)
"""What a text token means."""
CONST, IMAGE, BIAS, SPEAK = 444, 445, 446, 447
"""A large constant; what marks image tokens; a one for biases; whether a class is to be said."""

LARGE = 128.0
"""So large beside the rest that RMSNorm divides all tokens by nearly the same number."""
UNIT = 0.25
"""Standard deviation of what is not constant."""
WORD = 0.1
"""Standard deviation of a text token's meaning: less, or each token would predict itself."""
MARK = 2.0
"""The value of IMAGE in image tokens."""
GAIN = LARGE / (WIDTH**0.5 * UNIT)
"""Weight of the norms: a value of UNIT leaves a norm as 1."""
HEADS = 7
HEAD_WIDTH = WIDTH // HEADS
POOLING_HEADS = POOLED.stop // HEAD_WIDTH
