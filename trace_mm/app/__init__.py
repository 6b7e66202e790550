"""The page of ``trace-mm app``: photos in a browser, with their edges, masks and attention."""
