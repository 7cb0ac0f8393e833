"""ai-memory: one long-term memory that coding agents share."""

__version__ = "0.1.0"
