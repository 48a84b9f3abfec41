"""POST Object: a browser's form, its signed policy, and the object in it."""
