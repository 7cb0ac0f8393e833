"""Embedders: texts as vectors, one file a vendor; libraries and models are loaded when one is made, not before."""
