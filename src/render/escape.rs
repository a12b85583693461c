//! Makes a value harmless for the place it lands in.
