"""Metrics and the JSON log: one place for names, fields and buckets."""
