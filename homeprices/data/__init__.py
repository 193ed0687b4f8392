"""What a listing is: the raw table's contract, cleaning, the hold-out, stored datasets and synthetic listings."""
