"""The commands, by click's runner."""
