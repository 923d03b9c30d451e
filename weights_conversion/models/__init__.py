"""For each model, the table of its arrays: foreign name, name in the converted tree, transform."""
