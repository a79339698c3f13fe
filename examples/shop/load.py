"""
Visitors: real HTTP requests to the shop, a fixed number of them, from a few threads at once.

    python -m examples.shop.load http://127.0.0.1:5000

A process of its own, as visitors are; prints how many requests it made.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests

VISITORS = 60
USERS = 40  # some come back
SOLD_OUT = 409
COUNTRIES = ("DE", "FR", "JP", "US")
SKUS = ("lamp", "chair", "table", "shelf")


def visit(shop_url: str, number: int) -> int:
    """One visitor: looks, browses, every second one buys. Returns how many requests that took."""
    started_ms = time.time_ns() // 1_000_000
    with requests.Session() as browser:
        browser.headers.update(
            {
                "X-User": f"user-{number % USERS}",
                "Cookie": f'RT="z=0&si=browser-{number}&ss={started_ms}&sl=1"',  # mPulse's agent sets it
                "X-Country": COUNTRIES[number % len(COUNTRIES)],
            }
        )
        steps: list[tuple[str, str, object]] = [("GET", "/", None)]
        steps += [("GET", f"/product/{SKUS[(number + step) % len(SKUS)]}", None) for step in range(3)]
        if number % 2 == 0:
            wanted = "shelf" if number % 20 == 0 else SKUS[number % 3]  # which is sold out
            steps += [("POST", "/cart", {"sku": wanted}), ("POST", "/checkout", {"skus": [wanted, "lamp"]})]
        steps.append(("POST", "/goodbye", {}))
        for method, path, body in steps:
            answer = browser.request(method, shop_url + path, json=body, timeout=10)
            if answer.status_code != SOLD_OUT:
                answer.raise_for_status()
        return len(steps)


def run(shop_url: str) -> int:
    """All visitors, four at a time. Returns how many requests they made."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return sum(pool.map(lambda number: visit(shop_url, number), range(VISITORS)))


if __name__ == "__main__":
    print(run(sys.argv[1]))
