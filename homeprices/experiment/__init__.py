"""What an experiment has shown, and what follows from it: evidence in, decision out."""
