"""The companion on a real API server, under exactly the rights that the chart gives."""
