"""The built-in backbone for open_clip models: find, load, encode, train and save them."""
