"""`/api/v1`: the same, as JSON for other front ends. Nothing here writes."""
