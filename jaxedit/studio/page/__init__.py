"""The page of the studio in gradio: components, and nothing that could not be said of a session."""
