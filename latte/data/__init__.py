"""Images: sources, decoding, caches, views, batches, groups and grids."""
