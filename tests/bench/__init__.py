"""Measured, never asserted in a timed test: ratios to a bare Go webhook of one run."""
