"""People who sign in: accounts, sessions, and attempts that did not succeed."""
