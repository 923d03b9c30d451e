"""Where the person is in an image, and edits that leave the rest as it was."""
