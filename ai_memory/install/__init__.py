"""Wiring ai-memory into coding agents: where each keeps its hooks, what an entry of ours looks like.

`plan` says what would change, `apply` changes it, `verify` sends one event through what was installed.
"""
