"""mParticle's side of the sandbox, Events API and Pixel Service: written from its documents; see `app`."""
