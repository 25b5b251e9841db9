"""What readers of bills share: the files, their months, and the way from native rows to FOCUS facts."""
