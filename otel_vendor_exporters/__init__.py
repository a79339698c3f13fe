"""
OpenTelemetry data from Python into Akamai mPulse, mParticle and mParticle Analytics.

    OTel records ──▶ mapping ──▶ wire ──▶ client ──▶ delivery ──▶ vendor
                     decide      shape    address     keep, send, wait, count
                     └────── pure ──────┘└────────────── I/O ───────────────┘

One folder per vendor holds mapping, wire and client; `delivery` holds what they share and knows no
vendor; `sandbox` stands where the vendors stand, so that everything can be seen without an account.
Nothing heavy is imported here: ask for `otel_vendor_exporters.mpulse` and so on.
"""

__version__ = "0.1.0"
