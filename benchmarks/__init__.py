"""Scripts that measure the library and its peers. Each prints tables and can write them as JSON."""
