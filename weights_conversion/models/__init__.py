"""One conversion table for each model: foreign name, name in the converted tree, transform."""
