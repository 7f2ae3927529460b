"""A checkpoint for others: its card, its pictures, its place on the Hub, the table of all."""
