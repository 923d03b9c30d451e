"""A page that edits faces in a browser alone: a folder of static files, without a server that computes."""
