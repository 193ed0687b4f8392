"""Listings: the data contract, cleaning, the hold-out and synthetic listings."""
