"""`zoo studio`: draw, paint and morph in the browser, with every model of the zoo. One server, one page, no build step."""
