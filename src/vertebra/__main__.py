"""`python -m vertebra` is the command `vertebra`."""

from vertebra.cli.main import main

if __name__ == "__main__":
    main()
