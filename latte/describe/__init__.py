"""Descriptions: built-in types, the phrase describer, the store, the stage that writes them."""
