"""`python -m fusion`: the same as `affuse`."""

from fusion.cli import main

if __name__ == "__main__":
    main()
