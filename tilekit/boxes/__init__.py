"""Box structs and what is done with boxes: remap, overlap, suppress, fuse, merge, match."""
