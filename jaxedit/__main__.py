"""The command line as a module: `python -m jaxedit`."""

from jaxedit.cli import main

if __name__ == "__main__":
    main()
