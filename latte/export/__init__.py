"""A run's model in other libraries' formats."""
