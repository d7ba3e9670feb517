"""The probe against servers that are broken in every way."""
