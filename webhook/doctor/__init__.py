"""Doctor: what should hold, in the order in which one thing causes another.

Pure: observations in, diagnoses out. A check is data with a small function; the command
line observes a cluster and prints what comes out.
"""
