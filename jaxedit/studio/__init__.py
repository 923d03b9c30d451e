"""The slider page of `jaxedit studio`: sessions, edits and teaching without a page, and the page itself in `page`."""
