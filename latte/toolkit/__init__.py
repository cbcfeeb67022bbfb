"""Building blocks for methods, exported by `latte.api`."""
