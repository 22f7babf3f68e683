"""One way to look at a video: open, prepare, bring to size, pair and refuse, for every command that measures."""
