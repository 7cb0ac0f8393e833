"""The doors: HTTP routes around one `Memory`. Async and thin: parse, ask the memory, answer."""
