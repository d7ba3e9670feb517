"""The red team: what people without rights try, in memory and for real."""
