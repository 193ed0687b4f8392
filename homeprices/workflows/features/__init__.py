"""Features of dated listings: whether models use place prices, and the table of each day."""
