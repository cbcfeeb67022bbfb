"""Images: datasets, decoding, views, batches, groups and grids."""
