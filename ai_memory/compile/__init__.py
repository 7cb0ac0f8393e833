"""Compile: observations become page changes and handoffs. Pure: everything is given, nothing is fetched."""
