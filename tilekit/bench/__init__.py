"""What `tilekit bench` runs."""
