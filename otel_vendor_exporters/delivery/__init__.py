"""
Delivery: knows HTTP, time and disk; knows no vendor.

    keep (spool) ──▶ pack (the vendor's) ──▶ send (transport) ──▶ decide (policy) ──▶ settle or wait (ledger)

`sender.Delivery` is that line; every other file is one noun on it.
"""
