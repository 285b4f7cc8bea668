"""Who is asking: everything that turns a connection into a Principal."""
