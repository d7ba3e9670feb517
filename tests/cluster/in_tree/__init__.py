"""The policy on a real API server, beside the webhook and instead of it."""
