"""Scripts that measure the library against its peers. Each prints a table and can write JSON."""
