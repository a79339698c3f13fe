"""
Delivery: knows HTTP, time and disk; knows no vendor.

    keep (spool) ──▶ pack (the vendor's) ──▶ send (transport) ──▶ decide (policy) ──▶ settle or wait (ledger)

`sender.Delivery` is that line; every other file is one noun on it. What waits stands in a `spool`: in memory,
or also on disk (`disk_spool` over `journal`, with `codec`, `file_lock` and the `estate` of dead processes).
"""
