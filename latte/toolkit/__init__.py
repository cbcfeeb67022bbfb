"""Building blocks of adaptation methods; plugins import them from `latte.api`."""
