"""What is kept: raw log and wiki (the truth), the state (durable rows), the index (derived)."""
