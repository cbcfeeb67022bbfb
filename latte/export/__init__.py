"""Export of a run's model to the formats of other libraries."""
