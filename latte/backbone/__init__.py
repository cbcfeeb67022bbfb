"""CLIP backbones: OpenCLIP models, fast encoding, trainable groups, export."""
