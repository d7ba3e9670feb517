"""Tables, golden cases and fakes: no sockets."""
