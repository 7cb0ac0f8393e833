"""What makes pages findable: the chunks that are indexed, and the expression that asks for them."""
