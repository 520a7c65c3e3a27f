"""`python -m observatory.train` is `observatory train`."""

from observatory.train.cli import main

if __name__ == "__main__":
    main()
