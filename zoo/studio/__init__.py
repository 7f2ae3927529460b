"""`zoo studio`: draw, paint and morph in the browser. One server, one hand-written page, no build step."""
