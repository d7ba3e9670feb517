"""The command line: reads arguments, the environment and the clock, wires objects."""
