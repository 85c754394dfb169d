"""Typed results."""
