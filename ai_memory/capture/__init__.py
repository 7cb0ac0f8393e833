"""From what an agent sent to what may be stored: payload mapping, scrubbing, scope. Pure."""
