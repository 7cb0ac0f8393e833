"""Models of vendors: what they are asked and answer, one file for each family of vendors, and what it costs."""
