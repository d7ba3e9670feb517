"""The status page: what `status` says, for people who have a browser and no kubectl."""
