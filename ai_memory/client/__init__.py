"""What runs beside the agent: spool, delivery, lookups of marker and repository, handoff fetch.

Standard library only, and nothing else of ours: the installer copies this folder next to the hook
stubs, so that a hook goes on working when the program's own environment is moved or rebuilt.
"""
