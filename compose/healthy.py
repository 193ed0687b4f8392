"""Health check for images without curl: a URL answers with a status below 400. `python -I -S healthy.py URL`."""

import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 10


def main(url: str) -> int:
    """Return 0, or 1 with the reason on standard error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_SECONDS):
            return 0
    except (OSError, ValueError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
