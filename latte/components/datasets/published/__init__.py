"""The ten datasets that LatteCLIP was measured on: facts, layout, splits, downloads."""
