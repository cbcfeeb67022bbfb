"""Building blocks of adaptation methods, exported by `latte.api`."""
