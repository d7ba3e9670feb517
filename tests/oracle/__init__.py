"""Other programs that know NetworkPolicy judge what ours says."""
