"""Jobs on many images: what is done with each, and where its edges come from."""
