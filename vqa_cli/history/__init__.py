"""The history of an encoder: runs over its commits, the series that they make, and where these step."""
