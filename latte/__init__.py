"""latte: adapt CLIP to unlabelled images, with texts as the only teacher."""

__version__ = "0.1.0"
