"""Decides what a pod gets, and why.

Pure: dicts and bytes in, values out; no I/O, no clock, no logging. The same function
answers the API server, the command line and every test.
"""
