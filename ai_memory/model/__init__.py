"""Frozen values: scopes, events, sessions, pages, handoffs. No disk, no SQL, no clock, no HTTP."""
