"""`python -m bridge.cli`: the same as `pulsora-bridge`."""

from bridge.cli import main

if __name__ == "__main__":
    main()
