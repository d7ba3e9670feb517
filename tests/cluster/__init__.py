"""The main job against a real API server, with real operators as clients."""
