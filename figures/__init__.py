"""Drawings and the report, made from saved results only."""
