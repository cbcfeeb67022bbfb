"""Base classes and functions that components build on; `latte.api` exports them."""
