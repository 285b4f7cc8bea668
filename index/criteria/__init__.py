"""What a query asks for, as conditions of SQL: one module for each way of matching."""
