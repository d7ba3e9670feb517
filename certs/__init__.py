"""X.509 for the webhook: issue, validate, rotate, encode.

Pure: no clock (`now` is passed in), no files, no API, no threads. Callers read and
write; this package decides.
"""
