"""mPulse's side of the sandbox: written from its documents; see `app`."""
