"""The companion package, in memory."""
